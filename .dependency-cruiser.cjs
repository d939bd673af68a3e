// The arrows between the folders (docs/ARCHITECTURE.md). A layering that nobody checks is gone in a month.
const only = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: '^(src|clients)/', pathNot: to },
});

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      // the simulator's world and what watches it name each other's types
      from: { pathNot: '/gen/|^test/sim(-brokers)?/' },
      to: { circular: true },
      comment: 'Two files that import each other are one file. Move the shared type down to model/.',
    },
    only('model-imports-nothing', '^src/model/', '^src/model/', 'The nouns know nobody.'),
    only('log-knows-only-model', '^src/log/', '^src/(log|model)/', 'The log must not know why bytes are written.'),
    only(
      'core-is-pure',
      '^src/raft/core/',
      '^src/(raft/core|model)/',
      'If the core needs I/O, give it an event instead.',
    ),
    only(
      'raft-downward',
      '^src/raft/(?!core/|grpc-)',
      '^src/(raft|log|model)/',
      'Raft does not know topics or clients.',
    ),
    only('raft-grpc-edge', '^src/raft/grpc-', '^src/(raft|model|gen)/', 'Only grpc-*.ts may see generated messages.'),
    only(
      'group-is-pure',
      '^src/broker/group/',
      '^src/(broker/group|model)/',
      'Handle and replay; timers belong to the shell.',
    ),
    only(
      'broker-downward',
      '^src/broker/(?!group/)',
      '^src/(broker|raft|log|model)/',
      'The broker does not know gRPC.',
    ),
    only(
      'api-through-broker',
      '^src/api/',
      '^src/(api|broker|model|gen)/',
      'Go through broker/; do not reach into raft or log.',
    ),
    only(
      'cli-through-client',
      '^src/cli/',
      '^(src/cli|src/model|src/runtime/offline|src/runtime/quantity|clients/typescript/src/(?!gen/))',
      'The command talks to brokers through the client.',
    ),
    {
      name: 'cli-starts-fast',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: {
        path: '^clients/typescript/src/(?!errors|resume-token)',
        dependencyTypesNot: ['type-only', 'dynamic-import'],
      },
      comment: 'gRPC takes longer to load than all else together: help, completion and mistakes do without it.',
    },
    only(
      'client-carries-model',
      '^clients/typescript/',
      '^(clients/typescript|src/model)/',
      'The client must not install the broker.',
    ),
    {
      name: 'metrics-types-only',
      severity: 'error',
      from: { path: '^src/metrics/' },
      to: { path: '^src/(api|broker|raft|log)/', dependencyTypesNot: ['type-only'] },
      comment: 'Observers are types; metrics calls nothing.',
    },
    only(
      'metrics-observes-layers',
      '^src/metrics/',
      '^src/(metrics|api|broker|raft|log|model)/',
      'What it shows is handed to it by main.ts.',
    ),
    {
      name: 'nobody-counts-on-metrics',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(metrics/|main)' },
      to: { path: '^src/metrics/' },
      comment: 'The layers report to observers that they declare; that somebody counts is none of their business.',
    },
    {
      name: 'one-door-to-prom-client',
      severity: 'error',
      from: { pathNot: '^(src|test)/metrics/' },
      to: { path: 'node_modules/prom-client' },
      comment: 'How metrics are kept is known in one folder.',
    },
    {
      name: 'pure-has-no-node',
      severity: 'error',
      from: { path: '^src/(model|raft/core|broker/group)/' },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-no-pkg'] },
      comment: 'Clock, chance and I/O arrive as arguments.',
    },
    {
      name: 'one-door-to-rocksdb',
      severity: 'error',
      from: { pathNot: '^src/log/rocksdb-' },
      to: { path: 'node_modules/rocksdb-native' },
      comment: 'The engine is replaceable only while one file knows it.',
    },
    {
      name: 'only-the-driver-appends',
      severity: 'error',
      from: { path: '^src/(api|broker|metrics|cli)/' },
      to: { path: '^src/log/(?!reader|observer)' },
      comment: 'Above raft/ the log is read through log/reader.ts; only the driver appends.',
    },
    {
      name: 'src-never-tests',
      severity: 'error',
      from: { path: '^(src|clients)/' },
      to: { path: '^(test|bench)/' },
      comment: 'Fakes live in test/.',
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
  },
};
