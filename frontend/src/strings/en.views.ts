// The texts of the tree and of builders' components.

export const en = {
  own: {
    broken: "This page cannot be shown",
    brokenHelp: "A part that was made for it does not work. The list shows the same rows. Tell your administrator.",
    fault: "A part of this page did not work. If something is missing, load it again, or use the list.",
    list: "Show the list",
    reload: "Load it again",
  },
  tree: {
    below: (title: string) => `Rows below “${title}”`,
    newBelow: (label: string, title: string) => `${label} below “${title}”`,
    more: "Show more",
    nothing: "Nothing below.",
    sort: "Sorted by",
    descending: (label: string) => `${label}, descending`,
  },
};

export type ViewStrings = typeof en;
