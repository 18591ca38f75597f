"""What a case found: rows of numbers, printed as a table, kept as JSON, and shown in the documentation."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Column:
    """A member of every row, how it is headed, and how a number in it is written."""

    key: str
    heading: str
    form: str = ""

    def text(self, row: dict[str, Any]) -> str:
        """The cell."""
        value = row.get(self.key)
        if value is None:
            return "-"
        return format(value, self.form) if isinstance(value, int | float) else str(value)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be at least ``wanted``, or at most."""

    figure: str
    wanted: float
    reached: float | None
    unit: str = ""
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is; a figure that could not be had is not."""
        if self.reached is None:
            return False
        return self.reached <= self.wanted if self.at_most else self.reached >= self.wanted

    def sentence(self) -> str:
        """What was wanted and what was reached."""
        reached = "not measured" if self.reached is None else f"{self.reached:.2f}{self.unit}"
        wanted = f"{'at most' if self.at_most else 'at least'} {self.wanted:g}{self.unit}"
        return f"{self.figure}: {reached} (target: {wanted})"


@dataclass(frozen=True, slots=True)
class Report:
    """A case's rows, the targets they are held to, and what has to be said of them."""

    title: str
    columns: Sequence[Column]
    rows: list[dict[str, Any]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for column in self.columns:
            table.add_column(column.heading, justify="right" if column.form else "left", no_wrap=bool(column.form))
        for row in self.rows:
            table.add_row(*(column.text(row) for column in self.columns))
        console.print(table)
        for target in self.targets:
            mark = "[green]met[/]   " if target.met else "[red]missed[/]"
            console.print(f"  {mark} {target.sentence()}", highlight=False)
        for note in self.notes:
            console.print(f"  {note}", highlight=False)
        console.print()

    def markdown(self) -> str:
        """The same for a page of the documentation."""
        lines = [f"### {self.title}", ""]
        lines.append("| " + " | ".join(column.heading for column in self.columns) + " |")
        lines.append("| " + " | ".join("---:" if column.form else "---" for column in self.columns) + " |")
        lines += ["| " + " | ".join(column.text(row) for column in self.columns) + " |" for row in self.rows]
        said = [f"{'Met' if target.met else 'Missed'}: {target.sentence()}." for target in self.targets]
        return "\n".join([*lines, "", *(f"- {sentence}" for sentence in [*said, *self.notes]), ""])

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"targets": [asdict(target) | {"met": target.met} for target in self.targets]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Report":
        """The report of ``as_json``."""
        targets = [
            Target(**{name: value for name, value in target.items() if name != "met"}) for target in values["targets"]
        ]
        columns = [Column(**column) for column in values["columns"]]
        return cls(values["title"], columns, values["rows"], targets, values["notes"])
