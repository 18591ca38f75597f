"""What Prometheus is told, read by its own parser."""

from collections.abc import Mapping
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families


class Metrics:
    """An answer."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def of(self, name: str, labels: Mapping[str, str]) -> float:
        """The value of a metric with exactly these labels; 0 if nobody has counted it."""
        return self._values.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str) -> float:
        """The sum of a metric over all of its labels."""
        return sum(value for (found, _), value in self._values.items() if found == name)

    def labels(self, name: str, label: str) -> set[str]:
        """What stands in a label of a metric."""
        return {dict(labels)[label] for found, labels in self._values if found == name}


def told(port: int) -> Metrics:
    """Ask on a port of this machine."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        return Metrics(answer.read().decode())
