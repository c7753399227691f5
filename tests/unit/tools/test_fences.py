from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tools.fences import Piece, pieces

TEXT = """one

```console
hardener audit
```
two
   ~~~
```
   ~~~
````sh
```
````
"""


def test_prose_and_code_are_distinguished() -> None:
    assert list(pieces(TEXT)) == [
        Piece(1, "one\n\n", None),
        Piece(3, "```console\nhardener audit\n```\n", "console"),
        Piece(6, "two\n", None),
        Piece(7, "   ~~~\n```\n   ~~~\n", ""),
        Piece(10, "````sh\n```\n````\n", "sh"),
    ]
    assert [piece.code for piece in pieces(TEXT) if piece.language == "console"] == [["hardener audit"]]


def test_an_unclosed_block_is_code_to_the_end() -> None:
    assert list(pieces("```sh\na\n")) == [Piece(1, "```sh\na\n", "sh")]


@given(st.lists(st.sampled_from(["```", "```sh", "~~~", "  ```", "text", "", "`x`", "````"])).map("\n".join))
def test_the_joined_pieces_of_a_page_equal_its_text(text: str) -> None:
    assert "".join(piece.text for piece in pieces(text)) == text
