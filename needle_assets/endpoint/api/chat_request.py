"""What a client may ask of /v1/chat/completions, checked. Who answers it is not known here.

OpenAI's parameters are of three kinds here: those below; those that change no answer of this
endpoint and are taken without effect; and those that it cannot serve, which are refused by name,
as an unknown one is.
"""

import functools
import json
from typing import Annotated, Any, Literal, Self

import jsonschema
from jsonschema.validators import validator_for
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from needle_assets.endpoint.api.errors import ApiError, clipped

_WITHOUT_EFFECT = frozenset(
    [
        "metadata",
        "modalities",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    ]
)
_NOT_SERVED = frozenset(
    [
        "audio",
        "function_call",
        "functions",
        "logit_bias",
        "tool_choice",
        "tools",
        "web_search_options",
    ]
)

_LONGEST_SCHEMA = 64 * 1024
"""Characters. A check of so many took 0.35 s, in which no other request is read."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextPart(_Part):
    """A piece of a message."""

    type: Literal["text"]
    text: str


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


class Message(BaseModel):
    """One turn."""

    # Answers of this API are sent back as they came: with refusal, annotations and so on, null.
    model_config = ConfigDict(frozen=True, extra="allow")

    role: Literal["developer", "system", "user", "assistant"]
    content: Annotated[list[TextPart], BeforeValidator(_as_parts), Field(min_length=1)]
    """A string is one part."""
    name: str | None = None

    @model_validator(mode="after")
    def _text_alone(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if value not in (None, [], {}):
                raise ValueError(f"'{clipped(name)}' of a message is not served here")
        return self

    def plain(self) -> dict[str, str]:
        """As chat templates know it."""
        # They know no developer; the role is what OpenAI renamed system to.
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": "".join(part.text for part in self.content)}


class TextFormat(_Part):
    """Anything."""

    type: Literal["text"]


class JsonObjectFormat(_Part):
    """Some JSON object."""

    type: Literal["json_object"]


class NamedSchema(BaseModel):
    """A JSON schema that the answer obeys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    # Anything: what is wrong with it is said by `checked_schema`.
    value: Any = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(_Part):
    """JSON that obeys a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class StreamOptions(_Part):
    """How a stream ends."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Taken without effect: no answer is padded here."""


class ChatRequest(BaseModel):
    """The body. Parameters that are null are as good as absent, as with OpenAI."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    response_format: (
        Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
        | None
    ) = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(default=None, ge=1, lt=2**31)
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=2**31)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: Annotated[list[str] | None, BeforeValidator(_as_list)] = Field(None, max_length=4)
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def check(self) -> None:
        """Refuse what is well-formed but cannot be answered.

        Raises:
            ApiError: 400, naming the parameter.
        """
        try:
            said = [self.model, list(self.model_extra or {}), self.body()]
            json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            # Python reads both out of JSON, and nobody else would.
            raise ApiError(
                400,
                "The body holds half a surrogate pair, a number that is not finite, or a schema "
                "that is nested too deeply.",
            ) from None
        for name, value in (self.model_extra or {}).items():
            if name in _WITHOUT_EFFECT or value is None:
                continue
            shown = clipped(name)
            if name in _NOT_SERVED:
                message = f"Unsupported parameter: '{shown}' is not served by this endpoint."
                raise ApiError(400, message, code="unsupported_parameter", param=shown)
            message = f"Unknown parameter: '{shown}'."
            raise ApiError(400, message, code="unknown_parameter", param=shown)
        if self.n not in (None, 1):
            raise ApiError(
                400,
                "Unsupported value: 'n' must be 1 here; send the request several times, with "
                "different seeds.",
                code="unsupported_value",
                param="n",
            )
        if self.stream_options is not None and not self.stream:
            raise ApiError(
                400,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                code="invalid_value",
                param="stream_options",
            )
        if self.top_logprobs and not self.logprobs:
            raise ApiError(
                400,
                "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
                code="invalid_value",
                param="top_logprobs",
            )
        if isinstance(self.response_format, JsonSchemaFormat):
            check_schema(self.response_format.json_schema.value)

    @property
    def most_tokens(self) -> int | None:
        """Tokens that the answer may have, where the client says so."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def prompt_bytes(self) -> int:
        """Bytes of all messages: no tokenizer makes more tokens of them."""
        return sum(len(part.text.encode()) for turn in self.messages for part in turn.content)

    def body(self) -> dict[str, Any]:
        """What is asked of an engine: the parameters that were given, in the forms all know."""
        body: dict[str, Any] = {"messages": [message.plain() for message in self.messages]}
        for name in (
            "seed",
            "temperature",
            "top_p",
            "frequency_penalty",
            "presence_penalty",
            "stop",
            "logprobs",
            "top_logprobs",
        ):
            if (value := getattr(self, name)) is not None:
                body[name] = value
        if (most := self.most_tokens) is not None:
            body["max_tokens"] = most
        form = self.response_format
        if isinstance(form, JsonSchemaFormat):
            schema = form.json_schema.model_dump(by_alias=True, exclude_none=True)
            body["response_format"] = {"type": form.type, "json_schema": schema}
        elif isinstance(form, JsonObjectFormat):
            body["response_format"] = {"type": form.type}
        return body


def check_schema(schema: object) -> None:
    """Refuse what is not a JSON schema.

    Raises:
        ApiError: 400, saying what is wrong with it.
    """
    try:
        text = json.dumps(schema, sort_keys=True)
        problem = (
            f"it is longer than {_LONGEST_SCHEMA} characters"
            if len(text) > _LONGEST_SCHEMA
            else _problem(text)
        )
    except RecursionError:
        problem = "it is nested too deeply"
    if problem is not None:
        raise ApiError(
            400,
            f"Invalid schema for response_format: {problem}.",
            code="invalid_json_schema",
            param="response_format",
        )


@functools.lru_cache(maxsize=128)
def _problem(text: str) -> str | None:
    # A sweep sends one schema thousands of times; a check takes milliseconds.
    schema = json.loads(text)
    if not isinstance(schema, dict):
        return "it must be a JSON object"
    if not isinstance(schema.get("$schema", ""), str):
        return "its $schema must be a string"
    try:
        validator_for(schema, default=jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "".join(f"[{part!r}]" for part in error.absolute_path)
        return f"{clipped(error.message)}{f' at {where}' if where else ''}"
    return None
