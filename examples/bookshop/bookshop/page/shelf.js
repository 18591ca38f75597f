// The shelf: each book is a card, with a button that sells a copy. The page mounts it in the place of the list.

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export default class BookShelf extends HTMLElement {
  connectedCallback() {
    const style = make("link", { rel: "stylesheet", href: new URL("./shelf.css", import.meta.url) });
    this.cards = make("ul", { className: "shelf" });
    this.replaceChildren(style, this.cards);
    this.addEventListener("rows-changed", () => this.load());
    return this.load();
  }

  async load() {
    const { data } = await this.page.call("GET", "/books", { query: { limit: 500 } }); // no answer has more
    this.cards.replaceChildren(...data.items.map((book) => this.card(book)));
    if (data.next) this.cards.append(make("button", { onclick: () => this.page.go("?view=list") }, "Show all books"));
  }

  card(book) {
    const title = make("button", { className: "link", onclick: () => this.page.open(book.id) }, book.title);
    const price = (book.price_cents / 100).toLocaleString(this.page.locale, { minimumFractionDigits: 2 });
    const stock = make("p", { className: "faint" }, book.stock > 0 ? `${book.stock} in stock` : "Sold out");
    const card = make("li", { className: "book", id: book.id }, make("h2", {}, title), make("p", {}, price), stock);
    if (this.page.permissions.includes("sales.record")) {
      const sell = make("button", { ariaLabel: `Sell one copy of ${book.title}`, disabled: book.stock === 0 }, "Sell one");
      sell.onclick = () => this.sell(book, sell);
      card.append(sell);
    }
    return card;
  }

  async sell(book, button) {
    button.disabled = true; // one click is one sale
    try {
      await this.page.call("POST", "/sales", { body: { book_id: book.id } });
      this.page.say(`One copy of “${book.title}” is sold.`);
    } catch (error) {
      this.page.say(error);
    }
    await this.load(); // the cards are new ones: the focus goes to the same button
    [...this.querySelectorAll(`[id="${book.id}"] button:enabled`)].at(-1)?.focus();
  }
}

customElements.define("book-shelf", BookShelf);
