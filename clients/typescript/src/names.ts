/** Names of the contract's enums as values. */

/** The names of an enum in small letters. */
export type NameOf<E> = Lowercase<Exclude<keyof E, "UNSPECIFIED"> & string>;

/** The number of a name; names that there are not throw with those that there are. */
export function numberOf<E extends Record<string, number | string>>(enumeration: E, name: NameOf<E>): number {
  const number = enumeration[name.toUpperCase()];
  if (typeof number !== "number" || number === 0) {
    const known = Object.keys(enumeration).filter((own) => Number.isNaN(Number(own)) && own !== "UNSPECIFIED");
    throw new RangeError(`${JSON.stringify(name)} is not known; ${known.map((own) => own.toLowerCase()).join(", ")} are`);
  }
  return number;
}
