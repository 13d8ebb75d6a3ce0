/** Writes names of the contract for readers. */

/** Returns a name of the contract as words: `occlude_patches`, `FILL_BLACK`, `nonSalient`. */
export function words(name: string): string {
  const spaced = name.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase().trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
