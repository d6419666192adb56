"""The sections of params.yaml about imagined pictures: generator, validation, and encoders."""

from __future__ import annotations

from pydantic import Field, field_validator

from components import names
from components.config.fields import (
    MEMORY_SHARE,
    Count,
    MemoryShare,
    PositiveShare,
    Revision,
    Section,
    Seed,
    Share,
    Template,
    check_template,
)
from components.errors import EidolonError

_PINS = "The commit that pins {} to one version on the hub; null for a local folder."


class Generator(Section):
    """The section `generator`."""

    model: str = Field(
        description="The text-to-image model: a folder inside `models`, or a name on the model hub."
    )
    revision: Revision | None = Field(default=None, description=_PINS.format("the generator"))
    prompt: Template = Field(
        description="What the generator is asked for; {} stands for the category or query."
    )
    description_prompt: Template = Field(
        default=names.PLACE,
        description="What the generator is asked for a description, whose place is {}.",
    )
    category_prompts: dict[str, Template] = Field(
        default={},
        description="Categories with a prompt of their own, each with its template or its whole"
        " prompt.",
    )
    images_per_category: int = Field(
        ge=1, le=64, description="Pictures imagined of each category or query: K in the paper."
    )
    steps: int = Field(ge=1, le=200, description="Denoising steps for one picture.")
    guidance: float = Field(
        ge=0, le=50, description="Scale of classifier-free guidance; 0: no guidance."
    )
    size: int = Field(
        ge=8, le=2048, multiple_of=8, description="Pixels on each side of an imagined picture."
    )
    seed: Seed = Field(description="The seed that the seed of every picture is derived from.")
    batch: int | None = Field(
        ge=1,
        le=4096,
        description="Pictures drawn at once; null: as many as an accelerator's free memory allows,"
        " and a fixed number on a CPU.",
    )
    memory_share: MemoryShare = MEMORY_SHARE
    shards: tuple[int, ...] = Field(
        min_length=1,
        max_length=1000,
        description="Parts that are drawn and encoded side by side, one task each: [0, 1, 2, 3] are"
        " four.",
    )

    _one_place = field_validator("prompt", "description_prompt")(check_template)

    @field_validator("shards")
    @classmethod
    def _from_zero(cls, shards: tuple[int, ...]) -> tuple[int, ...]:
        if shards != tuple(range(len(shards))):
            raise ValueError(
                f"{list(shards)} must count from 0, such as [0, 1, 2] for three shards"
            )
        return shards

    @field_validator("category_prompts")
    @classmethod
    def _folded(cls, prompts: dict[str, str]) -> dict[str, str]:
        """By folded name, so that a prompt belongs to its category however its name is written."""
        try:
            names.check_distinct(prompts)
        except EidolonError as error:
            raise ValueError(str(error)) from None
        return {names.fold(name): prompt for name, prompt in prompts.items()}

    def prompt_for(self, text: str) -> str:
        """What the generator is asked for ``text``, a category's name or a query: the template (or
        whole prompt) of its own in ``category_prompts``, or else ``prompt``."""
        return names.fill(self.category_prompts.get(names.fold(text), self.prompt), text)


class Validate(Section):
    """The section `validate`."""

    min_contrast: Share = Field(
        description="Standard deviation of a colour channel, from 0 to 1; a picture below it is"
        " blank."
    )
    min_sharpness: float = Field(
        ge=0,
        description="Variance of the Laplacian of pixels from 0 to 1; a picture below it is"
        " blurred.",
    )
    max_sharpness: float = Field(
        gt=0,
        description="Variance of the Laplacian of pixels from 0 to 1; a picture above it is noise.",
    )
    min_clip_margin: float = Field(
        ge=-2,
        le=2,
        description="CLIP similarity of a picture to its own prompt, less that to the best other"
        " one, at least.",
    )
    min_agreement: float = Field(
        ge=-100,
        le=100,
        description="CLIP similarity of a picture to its text, in standard deviations above that to"
        " the categories' names, at least; for texts that are no category.",
    )
    min_view_distance: Share = Field(
        description="Colour difference at equal brightness and contrast; two pictures closer than"
        " this are copies."
    )
    min_category_similarity: float = Field(
        ge=-1,
        le=1,
        description="Cosine of a picture to the mean of its category's other pictures, by the"
        " vision encoder, at least.",
    )
    attempts: int = Field(
        ge=0,
        le=100,
        description="Times that a rejected picture is regenerated before it is quarantined.",
    )
    min_accepted: Count = Field(
        description="A category that keeps fewer pictures is searched by text alone."
    )
    min_diversity: float = Field(
        ge=0,
        le=2,
        description="Mean cosine distance between a category's pictures; less is a warning.",
    )
    max_text_only: Share = Field(
        description="The run stops when more than this share of the categories is left to text"
        " alone."
    )
    mostly: PositiveShare = Field(
        description="The run stops unless at least this share of the pictures is within each limit."
    )


class Encoders(Section):
    """The section `encoders`."""

    clip: str = Field(
        description="The encoder of texts and pictures: a folder inside `models`, or a name on the"
        " model hub."
    )
    clip_revision: Revision | None = Field(
        default=None, description=_PINS.format("the CLIP encoder")
    )
    vision: str = Field(
        description="The encoder that compares pictures: a folder inside `models`, or a name on the"
        " model hub."
    )
    vision_revision: Revision | None = Field(
        default=None, description=_PINS.format("the vision encoder")
    )
    text_templates: tuple[Template, ...] = Field(
        min_length=1,
        description="A text embedding is the mean over these templates; {} stands for the category"
        " or query.",
    )
    description_templates: tuple[Template, ...] = Field(
        default=(names.PLACE,),
        min_length=1,
        description="As text_templates, for a description.",
    )
    batch: int | None = Field(
        ge=1,
        le=65_536,
        description="Pictures or texts encoded at once; null: as many as an accelerator's free"
        " memory allows, and a fixed number on a CPU.",
    )
    memory_share: MemoryShare = MEMORY_SHARE

    @field_validator("text_templates", "description_templates")
    @classmethod
    def _one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_template(template) for template in templates)
