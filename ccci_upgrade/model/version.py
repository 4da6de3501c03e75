"""Versions of recipes, `x.y.z+upstream`: parsing, one total order, and how big a step is."""

# CONTRACT (to be implemented):
#   class Bump(StrEnum): NONE, PATCH, MINOR, MAJOR, UNKNOWN      values "none" ...
#   def highest(bumps: Iterable[Bump]) -> Bump      order none < patch < minor < unknown < major
#   @dataclass(frozen, slots, order by key) RecipeVersion: major, minor, patch: int; upstream: str; text: str
#       .parse(text) -> RecipeVersion | None ; .key ; str() gives the exact tag text
#   def bump_between(old, new: RecipeVersion) -> Bump          recipe part only
#   def same_recipe(a, b) -> bool       same x.y.z, other upstream: ambiguous
