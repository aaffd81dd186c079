"""The two kinds of data model: `Strict` for what clients send, `Tolerant` for what our own services wrote."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """A message from outside. An unknown or ill-typed field is an error, so that a typing mistake is never silent."""

    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, extra="forbid", strict=True, validate_by_name=True, allow_inf_nan=False
    )

    def wire(self) -> dict[str, Any]:
        """The fields under their wire names (camelCase), in JSON types."""
        return self.model_dump(mode="json", by_alias=True)


class Tolerant(BaseModel):
    """A message between our services, or an entry of a log. Fields that a newer version added are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore", validate_by_name=True)

    def wire(self) -> dict[str, Any]:
        """The fields under their wire names (camelCase), in JSON types."""
        return self.model_dump(mode="json", by_alias=True)
