"""Structures as plain values: what a dump has of them, and what a restore changes."""

from tenantapp.databases.schemas.structure import PRIVILEGES, Structure, redefined, structure_of

WORDS = 'GRANT SELECT TO "reporting"; POLICY "mine" TO "reporting"'


def secrets(words: str, using: str = "true") -> Structure:
    return structure_of(
        [
            ("table secrets", "", ""),
            ("table secrets", "policy mine", f"r permissive using {using}"),
            ("table secrets", "owner somebody", ""),
            ("table secrets", PRIVILEGES, words),
        ]
    )


def test_a_dump_has_the_roles_of_policies_and_no_other_privileges() -> None:
    structure = secrets(WORDS)
    assert structure.dumped.privileges == {"table secrets": 'POLICY "mine" TO "reporting"'}
    assert {part.part for part in structure.dumped.parts} == {"", "policy mine", PRIVILEGES}
    assert secrets("GRANT SELECT TO PUBLIC").dumped == structure.definitions


def test_where_policies_cannot_be_told_from_the_rest_all_is_compared() -> None:
    words = f'GRANT SELECT TO "reporting" BY "other"; {WORDS}'
    assert secrets(words).dumped.privileges == {"table secrets": words}


def test_a_restore_redefines_what_a_dump_carries_and_no_privileges() -> None:
    restored = secrets('POLICY "mine" TO "reporting"', using="(id = ANY ('{1,2}'))")
    assert redefined(secrets(WORDS, using="(id IN (1, 2))"), restored) == secrets(WORDS, using="(id = ANY ('{1,2}'))")
