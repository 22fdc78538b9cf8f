"""What people read of a model's faults: the place, what is allowed and what was received."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from farm.fault import explain


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Cat(_Strict):
    kind: Literal["cat"]
    lives: int = 9


class Dog(_Strict):
    kind: Literal["dog"] = "dog"
    tricks: tuple[str, ...] = ()


class Home(_Strict):
    name: str = Field("", max_length=3)
    guest: Dog | None = None
    pets: tuple[
        Annotated[
            Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")],
            Discriminator(lambda pet: pet.get("kind", "dog")),
        ],
        ...,
    ] = ()


def said(fields: dict[str, Any], model: type[BaseModel] | None = Home) -> str:
    with pytest.raises(ValidationError) as caught:
        Home.model_validate(fields)
    return explain(caught.value, model)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"nmae": "x"}, "nmae: unknown; allowed: name, guest, pets"),
        ({"name": "long"}, "name: expected at most 3 characters, received 'long'"),
        ({"guest": {"lives": 9}}, "guest.lives: unknown; allowed: kind, tricks"),
        (
            {"pets": [{"kind": "cat", "tricks": []}]},
            "pets[0].tricks: unknown; allowed: kind, lives",
        ),
        ({"pets": [{"tricks": [1]}]}, "pets[0].tricks[0]: expected a text, received 1"),
        ({"pets": [{"kind": "cow"}]}, "pets[0].kind: expected 'cat' or 'dog', received 'cow'"),
        (
            {"pets": [{"kind": "cat", "lives": "x"}], "name": 1},
            "name: expected a text, received 1; "
            "pets[0].lives: expected a whole number, received 'x'",
        ),
    ],
)
def test_faults_in_words(fields: dict[str, Any], expected: str) -> None:
    assert said(fields) == expected


def test_a_model_that_is_not_known_is_no_obstacle() -> None:
    assert said({"nmae": "x"}, None) == "nmae: unknown"
    assert said({"pets": [{"kind": "cat", "x": 1}]}, None).endswith(".x: unknown")
