/**
 * Which branches of a script ran. V8 counts how often each block ran; the parser says which branches there are. A branch:
 * either way of an `if` (also of one without `else`) and of `?:`, each clause of a `switch`, the right side of `&&`, `||`
 * and `??`. What stands inside `assert(…)` and `must(…)` is left out: an invariant that holds has one way only.
 */
import ts from 'typescript';

export interface Branch {
  /** Place in the script's text. */
  readonly at: number;
  readonly what: string;
  readonly taken: boolean;
}

/** A range of the text, and how often it ran; inner ranges overrule outer ones. */
export interface CountedRange {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

const logical = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

export function branchesOf(text: string, ranges: readonly CountedRange[]): Branch[] {
  const branches: Branch[] = [];
  const source = ts.createSourceFile('script.js', text, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const add = (node: ts.Node, what: string, count: number): void => {
    branches.push({ at: node.getStart(source), what, taken: count > 0 });
  };
  const count = (node: ts.Node): number => countAt(ranges, node.getStart(source));
  const visit = (node: ts.Node): void => {
    if (isAssertion(node)) return;
    if (ts.isIfStatement(node)) {
      add(node.thenStatement, 'if', count(node.thenStatement));
      if (node.elseStatement !== undefined) add(node.elseStatement, 'else', count(node.elseStatement));
      else add(node, 'no else', count(node) - count(node.thenStatement));
    } else if (ts.isConditionalExpression(node)) {
      add(node.whenTrue, '? …', count(node.whenTrue));
      add(node.whenFalse, ': …', count(node.whenFalse));
    } else if (ts.isCaseOrDefaultClause(node)) {
      add(node, 'case', clauseCount(node, count));
    } else if (ts.isBinaryExpression(node) && logical.has(node.operatorToken.kind)) {
      add(node.right, node.operatorToken.getText(source), count(node.right));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return branches;
}

/** An empty clause only falls through to the next. */
function clauseCount(clause: ts.CaseOrDefaultClause, count: (node: ts.Node) => number): number {
  const first = clause.statements[0];
  if (first !== undefined) return count(first);
  const { clauses } = clause.parent;
  const next = clauses[clauses.indexOf(clause) + 1];
  return next === undefined ? 0 : clauseCount(next, count);
}

function isAssertion(node: ts.Node): boolean {
  return ts.isCallExpression(node) && ts.isIdentifier(node.expression) && /^(assert|must)$/.test(node.expression.text);
}

/** The count of the innermost range around a place. */
function countAt(ranges: readonly CountedRange[], at: number): number {
  let best: CountedRange | null = null;
  for (const range of ranges) {
    if (range.startOffset > at || range.endOffset <= at) continue;
    if (best === null || range.endOffset - range.startOffset <= best.endOffset - best.startOffset) best = range;
  }
  return best?.count ?? 0;
}
