// The texts of the tree and of builders' components.

export const en = {
  own: {
    broken: "This page cannot be shown",
    brokenHelp: "A part that was made for it does not work. The list shows the same rows. Tell your administrator.",
    fault: "A part of this page did not work. If something is missing, load it again, or use the list.",
    list: "Show the list",
    reload: "Load it again",
  },
};

export type ViewStrings = typeof en;
