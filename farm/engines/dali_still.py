"""One still for the `dali` engine: decoded at full size, together with those of other threads."""

from dataclasses import dataclass

import numpy as np

from farm.engines import Source, Wish
from farm.engines.dali_pipeline import DaliError, Decoders
from farm.engines.pillow import PillowDecoder
from farm.engines.prefix import Prefix
from farm.engines.still import OddError, Planes
from farm.engines.still_header import StillHeader
from farm.errors import UnsupportedFormatError
from farm.sampling import Target
from farm.settings import Limits
from farm.spec import Accuracy

_ANY = Target(0.0, Accuracy.KEYFRAME)


@dataclass(frozen=True, slots=True)
class DaliStill:
    """One opened picture, whose header has been read."""

    source: Source
    data: Prefix
    header: StillHeader
    format_name: str
    limits: Limits
    decoders: Decoders

    def decode(self, wish: Wish) -> Planes:
        """The whole picture: DALI shrinks nothing on load.

        Where the file is damaged, or DALI fails, which does not say why: raises what Pillow finds
        wrong with it, and where that is nothing, OddError or UnsupportedFormatError.
        """
        data = self.data.all()
        try:
            self.header.check(data)
            picture = self.decoders.picture(np.frombuffer(data, np.uint8), size=self.header.size)
        except OddError:
            self._ask_pillow()
            raise
        except DaliError as error:
            self._ask_pillow()
            raise UnsupportedFormatError(
                f"{self.source.name}: DALI cannot decode this {self.format_name}: {error}"
            ) from error
        notes = {"device": self.decoders.device}
        return Planes((picture,), notes=notes, profile=self.header.profile)

    def _ask_pillow(self) -> None:
        """Raises the MediaError for what is wrong with the file, as far as Pillow notices."""
        decoder = PillowDecoder(self.source, format_name=self.format_name, limits=self.limits)
        for _ in decoder.frames([_ANY], Wish()):
            pass
