/** Takes what is dropped on the page: files, and all files of folders. */

/** Files that are taken in. */
const MOST_FILES = 20_000;

/** Returns the dropped files by their paths. */
export async function dropped(transfer: DataTransfer): Promise<Map<string, File>> {
  const files = new Map<string, File>();
  // The list is gone after the first pause.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return chosen(transfer.files);
  for (const entry of entries) await walk(entry, files);
  return files;
}

/** Returns chosen files by their names, and by their paths within a chosen folder. */
export function chosen(list: Iterable<File>): Map<string, File> {
  return new Map([...list].map((file) => [file.webkitRelativePath === "" ? file.name : file.webkitRelativePath, file]));
}

async function walk(entry: FileSystemEntry, files: Map<string, File>): Promise<void> {
  if (files.size >= MOST_FILES) throw new Error(`more than ${MOST_FILES} files were dropped`);
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    files.set(entry.fullPath.replace(/^\//, ""), file);
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) return;
    for (const one of some) await walk(one, files);
  }
}

/** Returns pictures by every end of their paths that a table beside them may name. */
export function byName(files: ReadonlyMap<string, File>): Map<string, File> {
  const names = new Map<string, File>();
  for (const [path, file] of files) {
    for (let at = -1; ; ) {
      const name = path.slice(at + 1);
      if (!names.has(name)) names.set(name, file);
      at = path.indexOf("/", at + 1);
      if (at < 0) break;
    }
  }
  return names;
}
