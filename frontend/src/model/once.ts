// What takes long to make is made when it is first asked for, such as a format: the first one of a tab takes about 30 ms.

export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
