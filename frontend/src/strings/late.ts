// Parts with texts of their own, which are loaded late.

interface Texts {
  readTexts: () => Promise<void>;
}

/** Load a part and its texts at the same time. */
export function withTexts<T>(part: () => Promise<T>, texts: () => Promise<Texts>): () => Promise<T> {
  return async () => {
    const [loaded] = await Promise.all([part(), texts().then(({ readTexts }) => readTexts())]);
    return loaded;
  };
}
