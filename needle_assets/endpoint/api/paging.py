"""Lists as OpenAI pages them: newest first, after an id, with has_more."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from needle_assets.endpoint.api.errors import ApiError, clipped

T = TypeVar("T")


class Identified(BaseModel):
    """An object on the wire that a page may begin after."""

    id: str


class Page(BaseModel):
    """One page."""

    object: Literal["list"] = "list"
    data: list[Any]
    first_id: str | None
    last_id: str | None
    has_more: bool


def page(
    fetch: Callable[[int], Sequence[T]],
    wire: Callable[[T], Identified],
    *,
    limit: int,
    after: str | None,
) -> Page:
    """One page of what ``fetch`` gives for a number of records.

    Raises:
        ApiError: 400, ``after`` is the id of nothing in the list.
    """
    try:
        records = fetch(limit + 1)
    except KeyError:
        raise ApiError(
            400,
            f"No such object to list after: '{clipped(after or '')}'.",
            code="invalid_value",
            param="after",
        ) from None
    data = [wire(record) for record in records[:limit]]
    ids = [item.id for item in data]
    return Page(
        data=data,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=len(records) > limit,
    )
