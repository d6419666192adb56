"""The section of params.yaml about the service. A Bento keeps the values that it was built with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from components.config.fields import Count, Section, Share

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\[\]:-]+$")]


class Serve(Section):
    """The section `serve`. Its defaults are those of a service that runs outside a Bento."""

    golden_queries: Count = Field(
        default=8,
        description="Known categories that a new Bento must answer before it is deployed.",
    )
    keep_warm: bool = Field(
        default=True,
        description="Whether the Bento that was served before stays loaded, so that going back"
        " takes seconds; it needs its memory.",
    )
    api_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that answer requests; each loads the text encoder and the index.",
    )
    imaginer_workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that draw; each loads the generator and both encoders, and takes an"
        " accelerator of its own where there are several.",
    )
    accelerators: bool = Field(
        default=False,
        description="Whether each process that draws gets an accelerator of its own, and the API"
        " none.",
    )
    idle_seconds: Seconds | None = Field(
        default=None,
        description="Seconds without drawing after which a process that draws gives the"
        " accelerator's memory back; the next text waits a few seconds more. null: never.",
    )
    drawing_batch: int = Field(
        default=48,
        ge=1,
        le=4096,
        description="Pictures, of any texts, that are drawn at once. Where drawing is slow, 1 shows"
        " each picture as soon as it is drawn.",
    )
    waiting_texts: Count = Field(
        default=64,
        description="Texts whose pictures are drawn or wait for it; a further one is answered by"
        " text alone.",
    )
    imagine_seconds: Seconds = Field(
        default=60,
        description="How long an answer waits for its pictures before it is given by text alone.",
    )
    timeout_seconds: Seconds = Field(
        default=120,
        description="The service gives a request up after this many seconds, with status 504.",
    )
    concurrent_requests: int = Field(
        default=1024,
        ge=1,
        le=100_000,
        description="Requests that the service answers at once; it refuses more with status 429.",
    )
    remembered_bytes: int = Field(
        default=2**30,
        ge=2**24,
        description="Bytes on disk for imagined pictures of texts and their vectors; the least"
        " recently used go first.",
    )
    hosts: tuple[Host, ...] = Field(
        default=(),
        description="Host names under which the service is reached, beside localhost and IP"
        " addresses; any other is refused.",
    )
    origins: tuple[Origin, ...] = Field(
        default=(),
        description="Pages of other origins, such as https://example.org, that may use the service"
        " from a browser.",
    )
    requests_per_minute: float | None = Field(
        default=None,
        gt=0,
        description="Requests by POST in a minute, for each key, or for each address where there"
        " are no keys; null: no limit. Each process counts by itself.",
    )
    body_seconds: Seconds = Field(
        default=30,
        description="A request whose body has not come within this many seconds is refused.",
    )
    upload_bytes: int = Field(
        default=20 * 2**20,
        ge=2**16,
        le=2**30,
        description="Bytes of a picture that is uploaded to search by it, at most.",
    )
    upload_pixels: int = Field(
        default=25_000_000,
        ge=1,
        le=178_956_970,
        description="Pixels of a picture that is uploaded to search by it, at most.",
    )
    journal_days: int = Field(
        default=30,
        ge=0,
        le=3650,
        description="Days for which the logs of queries and of feedback are kept; 0: there are"
        " none.",
    )
    path_prefix: str = Field(
        default="",
        pattern="^(/[A-Za-z0-9._~-]+)*$",
        description="A path under which the service answers too, such as /pictures, for a proxy"
        " that does not remove it.",
    )

    @model_validator(mode="after")
    def _answers_in_time(self) -> Serve:
        if self.imagine_seconds >= self.timeout_seconds:
            raise ValueError(
                f"imagine_seconds {self.imagine_seconds:g} must be less than timeout_seconds"
                f" {self.timeout_seconds:g}: the answer by text alone comes after it"
            )
        return self


class Canary(Section):
    """The section `canary`."""

    min_requests: Count = Field(
        default=50,
        description="Searches that are compared before a challenger on trial can be withdrawn.",
    )
    max_errors: Share = Field(
        default=0.02,
        description="Share of its answers that may be errors where the champion gives none.",
    )
    max_latency_ratio: float = Field(
        default=3,
        ge=1,
        le=1000,
        description="The 95th percentile of its answers' time, in times that of the champion.",
    )
    max_degraded: Share = Field(
        default=0.1,
        description="Share of its answers that may be given by text alone beyond the champion's.",
    )
    min_overlap: Share = Field(
        default=0.3,
        description="Mean share of the first ten hits that it has in common with the champion.",
    )
