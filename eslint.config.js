// What the linter is for here: meaning (awaited promises, exhaustive switches) and the purity of the pure folders.
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const clockAndChance = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'performance',
  'process',
  'crypto',
  'Date',
  'Buffer',
];
const noDefaultsNoEnums = ['ExportDefaultDeclaration', 'TSEnumDeclaration'];
const brandNames =
  'Offset|LogIndex|Term|GroupNumber|ReplicaId|BrokerId|ProducerId|ProducerEpoch|Sequence|Millis|MemberEpoch';
const brandCast = {
  selector: `TSAsExpression > TSTypeReference[typeName.name=/^(${brandNames})$/]`,
  message: 'Only model/ids.ts makes branded numbers; call its constructor.',
};

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'node_modules/',
      'src/gen/',
      'clients/typescript/src/gen/',
      'clients/typescript/dist/',
      'clients/typescript/docs/',
      'data/',
      '.cache/',
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { allowDefaultCaseForExhaustiveSwitch: false, considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidOperator: true },
      ],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      'no-console': 'error',
      eqeqeq: 'error',
      'no-restricted-syntax': ['error', ...noDefaultsNoEnums, brandCast],
    },
  },
  { files: ['src/model/ids.ts'], rules: { 'no-restricted-syntax': ['error', ...noDefaultsNoEnums] } },
  {
    files: ['src/model/**', 'src/raft/core/**', 'src/broker/group/**'],
    rules: {
      'no-restricted-globals': ['error', ...clockAndChance],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random', message: 'Take a Random argument.' }],
      'no-restricted-syntax': [
        'error',
        ...noDefaultsNoEnums,
        'AwaitExpression',
        ':function[async=true]',
        "NewExpression[callee.name='Promise']",
        brandCast,
      ],
    },
  },
  {
    files: ['src/model/ids.ts'],
    rules: { 'no-restricted-syntax': ['error', ...noDefaultsNoEnums, 'AwaitExpression', ':function[async=true]'] },
  },
  {
    files: ['test/**', 'clients/typescript/test/**', 'bench/**', 'scripts/**', 'examples/**'],
    rules: {
      // node:test's functions return promises that the runner itself awaits
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            {
              from: 'package',
              package: 'node:test',
              name: ['test', 'it', 'describe', 'suite', 'before', 'after', 'beforeEach', 'afterEach'],
            },
          ],
        },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      'no-console': 'off',
    },
  },
  { files: ['src/cli/**', 'scripts/**', 'examples/**', 'loadtest/**'], rules: { 'no-console': 'off' } },
  {
    files: ['loadtest/lib/**', 'loadtest/scripts/**'],
    // k6's types declare classes for what it takes as plain objects
    rules: { '@typescript-eslint/no-unsafe-class-instance-assignment': 'off' },
  },
  {
    files: ['**/*.js', '**/*.cjs', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        module: 'writable',
        require: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
      },
    },
    rules: {
      'no-console': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      '@typescript-eslint/no-require-imports': 'off',
    },
  },
  { files: ['eslint.config.js'], rules: { 'no-restricted-syntax': 'off' } },
);
