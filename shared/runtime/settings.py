"""Settings from the environment: `PARLEY_<NAME>`, secrets also as `PARLEY_<NAME>_FILE`; an unknown name is an error."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.values import field_faults

PREFIX = "PARLEY_"
# Variables of the command line and clients, which may be set in the same shell. Services ignore them.
OF_CLIENTS = frozenset({PREFIX + "URL", PREFIX + "TOKEN", PREFIX + "TOKEN_FILE"})
GRACE_SECONDS = 30.0  # protocol section 6


class SettingsError(Exception):
    """A setting is unknown or wrong. The message is one sentence and repeats no value, which may be a secret."""


class ServiceSettings(BaseSettings):
    """The settings of every service. Each service adds its own in `services/<name>/settings.py`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    mode: Literal["production", "development"] = Field(
        "production",
        description="`development` turns on default secrets and `/api/dev/token`, for loopback hosts only.",
    )
    nats_url: str = Field("nats://127.0.0.1:4222", description="NATS servers, separated by commas.")
    nats_user: str | None = Field(None, description="NATS user of this service (deploy/nats/accounts.conf).")
    nats_password: SecretStr | None = Field(None, description="Password of the NATS user.")
    request_timeout: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds to wait for another service or the broker before answering `unavailable`.",
    )
    ops_host: str = Field("127.0.0.1", description="Address of the internal port: `/metrics`, `/healthz`, `/readyz`.")
    ops_port: int = Field(0, ge=0, le=65535, description="The internal port; 0 takes a free one and logs it.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="`json` for machines, `console` for people.")
    otlp_endpoint: str | None = Field(
        None,
        description="Where traces go by OTLP over HTTP, such as `http://collector:4318/v1/traces`. Unset: no tracing.",
    )
    trace_ratio: float = Field(0.01, ge=0, le=1, description="Share of new traces that is sampled.")

    @property
    def development(self) -> bool:
        """Whether development mode is on."""
        return self.mode == "development"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only what `read` collected: no `.env` file, and no second reading of the environment."""
        return (init_settings,)

    @classmethod
    def secret_names(cls) -> set[str]:
        """The fields that are secret."""
        return {name for name, field in cls.model_fields.items() if "SecretStr" in str(field.annotation)}

    @classmethod
    def file_names(cls) -> set[str]:
        """The fields that may come from a file: secrets, and what an operator changes while the process runs."""
        return cls.secret_names() | {"log_level"}

    @classmethod
    def environment_names(cls) -> set[str]:
        """Every variable this service understands."""
        names = {f"{PREFIX}{name.upper()}" for name in cls.model_fields}
        return names | {f"{PREFIX}{name.upper()}_FILE" for name in cls.file_names()}

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings of this process. Raises SettingsError with one sentence that names the variable."""
        environment = os.environ if environment is None else environment
        known = cls.environment_names() | OF_CLIENTS
        unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
        if unknown:
            raise SettingsError(f"unknown setting {unknown[0]} (docs/configuration.md lists what there is)")
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            variable = f"{PREFIX}{name.upper()}"
            if variable in environment:
                values[name] = environment[variable]
            if f"{variable}_FILE" in environment:
                if variable in environment:
                    raise SettingsError(f"{variable} and {variable}_FILE are both set; choose one")
                values[name] = _read_file(f"{variable}_FILE", environment[f"{variable}_FILE"])
        try:
            return cls(**_parsed(cls, values))
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = f"{PREFIX}{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
            raise SettingsError(where + field_faults.sentence(problem)) from None


def _parsed(cls: type[BaseSettings], values: dict[str, Any]) -> dict[str, Any]:
    """Split lists at their commas. Pydantic parses everything else."""
    return {
        name: [part.strip() for part in value.split(",") if part.strip()]
        if str(cls.model_fields[name].annotation).startswith(("list", "tuple", "frozenset"))
        else value
        for name, value in values.items()
    }


def _read_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: cannot be read ({type(error).__name__})") from None
