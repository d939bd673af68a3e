/** The part of rocksdb-native (it ships no types) that rocksdb-engine.ts uses. */
declare module 'rocksdb-native' {
  interface ColumnFamilyOptions {
    readonly enableBlobFiles?: boolean;
    readonly minBlobSize?: number;
    readonly blobFileSize?: number;
    readonly enableBlobGarbageCollection?: boolean;
    readonly tableBlockSize?: number;
    readonly maxWriteBufferNumber?: number;
    readonly writeBufferSize?: number;
  }

  /** The shape of a compact-encoding codec: first the size, then the bytes. */
  interface KeyEncoding<T> {
    preencode(state: { end: number }, value: T): void;
    encode(state: { start: number; readonly buffer: Uint8Array }, value: T): void;
    decode(state: { start: number; readonly buffer: Uint8Array }): T;
  }

  interface SessionOptions {
    readonly keyEncoding?: KeyEncoding<string> | null;
    /** The session reads what is there when it is made. */
    readonly snapshot?: boolean;
  }

  interface OpenOptions extends ColumnFamilyOptions, SessionOptions {
    readonly readOnly?: boolean;
    readonly createIfMissing?: boolean;
    readonly maxBackgroundJobs?: number;
    readonly bytesPerSync?: number;
    readonly maxOpenFiles?: number;
    readonly walRecoveryMode?: number;
  }

  interface ReadBatch {
    get(key: Uint8Array): Promise<Uint8Array | null>;
    flush(): Promise<void>;
    destroy(): void;
  }

  interface WriteBatch {
    tryPut(key: Uint8Array, value: Uint8Array): void;
    tryDelete(key: Uint8Array): void;
    tryDeleteRange(start: Uint8Array, end: Uint8Array): void;
    flush(): Promise<void>;
  }

  interface CompactOptions {
    readonly exclusive?: boolean;
    readonly blobGarbageCollectionPolicy?: number;
    readonly blobGarbageCollectionAgeCutoff?: number;
    readonly bottommostLevelCompaction?: number;
  }

  interface IteratorOptions {
    readonly gte: Uint8Array;
    readonly lt: Uint8Array;
    readonly reverse: boolean;
    readonly limit: number;
    readonly capacity: number;
  }

  class RocksDB {
    static readonly constants: {
      readonly garbageCollectionPolicy: { readonly FORCE: number; readonly DISABLE: number };
      readonly bottommostLevelCompaction: { readonly FORCE: number; readonly NONE: number };
      readonly walRecoveryMode: { readonly POINT_IN_TIME: number };
    };

    constructor(path: string, options?: OpenOptions);
    ready(): Promise<void>;
    session(options: SessionOptions): RocksDB;
    read(options: { readonly capacity: number; readonly autoDestroy: boolean }): ReadBatch;
    write(options: { readonly capacity: number; readonly autoDestroy: boolean }): WriteBatch;
    iterator(options: IteratorOptions): AsyncIterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>;
    flush(): Promise<void>;
    compactRange(start: string, end: string, options: CompactOptions): Promise<void>;
    currentWalFile(): Promise<{ readonly number: number }>;
    getProperty(name: string): Promise<string | undefined>;
    close(options?: { readonly force: boolean }): Promise<void>;
  }

  export = RocksDB;
}
