/** Type errors of a file with another text, found in the memory of one compiler: the rest is checked once. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** Names that a mutant leaves without a use are no error of it. */
const unused = new Set([6133, 6192, 6196, 6198]);
const root = path.join(import.meta.dirname, '../..');

export class TypeCheck {
  readonly #texts = new Map<string, string>();
  #version = 0;
  readonly #service: ts.LanguageService;

  constructor() {
    const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')) as {
      config: object;
    };
    const parsed = ts.parseJsonConfigFileContent({ ...config, include: ['src/raft', 'src/broker'] }, ts.sys, root);
    this.#service = ts.createLanguageService({
      getCompilationSettings: () => parsed.options,
      getScriptFileNames: () => parsed.fileNames,
      getScriptVersion: (file) => (this.#texts.has(file) ? String(this.#version) : '0'),
      getScriptSnapshot: (file) => {
        const text = this.#texts.get(file) ?? ts.sys.readFile(file);
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
      },
      getCurrentDirectory: () => root,
      getDefaultLibFileName: ts.getDefaultLibFilePath,
      fileExists: (file) => ts.sys.fileExists(file),
      readFile: (file) => ts.sys.readFile(file),
    });
  }

  /** @param file relative to the repository */
  errors(file: string, text: string): string[] {
    const full = path.join(root, file);
    this.#texts.clear();
    this.#texts.set(full, text);
    this.#version++;
    const found = [...this.#service.getSyntacticDiagnostics(full), ...this.#service.getSemanticDiagnostics(full)];
    return found
      .filter(({ code }) => !unused.has(code))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
  }
}
