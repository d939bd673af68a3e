/** Whether the disk has room for more records (design D10). Count-0 entries never ask. */
export interface DiskGate {
  /** False below the soft reserve: produce is refused until space is freed; fetch and delete go on. */
  admit(bytes: number): boolean;
}
