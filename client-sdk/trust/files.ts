/** The one port through which the SDK keeps state. Design §3, "State". */

/** A file that grows at its end: a download in progress. One holder at a time. */
export interface AppendFile {
  /** Bytes that it holds. */
  readonly size: number;
  append(chunk: Uint8Array): Promise<void>;
  /** Streams what it holds, from the beginning. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Cuts it to `size` bytes, which it must hold already. */
  truncate(size: number): Promise<void>;
  /** Returns once the bytes are on the medium. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Paths are relative, `/`-separated, and made of `[A-Za-z0-9._+-]`; a segment never begins with a dot. */
export interface Files {
  /** The whole file; undefined when there is none, or when it is longer than `maxBytes` (1 MiB unless told). */
  read(path: string, maxBytes?: number): Promise<Buffer | undefined>;
  /** Whole and durable: after a power cut the file holds either the old bytes or the new. Folders are made as needed. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Durable; nothing happens when there is no such file. */
  remove(path: string): Promise<void>;
  /** Durable; replaces `to`. */
  rename(from: string, to: string): Promise<void>;
  /** Names of the files in a folder, sorted; empty when there is no such folder. */
  list(folder: string): Promise<string[]>;
  /** Opens for appending; makes the file and its folders as needed. */
  open(path: string): Promise<AppendFile>;
  /** Where the file is on the machine, for what must be handed a path. */
  path(path: string): string;
}
