"""AdaCompress: the pieces put together behind one name."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from threading import Lock
from typing import Any

import numpy as np

from .. import agents
from ..core.config import BaseConfig
from ..core.controller import Controller
from ..core.roles import Agent
from ..imaging import read as images
from ..imaging.extractor import Extractor
from ..imaging.read import Photo
from ..services import RefusedError, Service, ServiceError
from ..storage import artifacts
from ..storage.files import ImageError
from ..views import View
from .ahead import in_order
from .live import LiveImage, Source, open_extractor, photo_of
from .metadata import kept_exif
from .results import Choice, Result
from .state import agent_in
from .waiting import Queue, Waiting


class AdaCompress:
    """Chooses an encoding for each image and runs the three states against a service.

    One object is one running system, and threads may share it. `upload` changes its agent and its
    windows, so from several threads one sends after the other, in no set order. `choose` changes
    nothing and any number may be at work at once; where an upload learns meanwhile, it decides by
    the agent as it is at that moment. Other objects may share the extractor, those of
    `open_service`, and services whose `label` may be called from several threads at once.
    `send_waiting` is for one thread alone; `aim` and `resume` while no other is at work.

    With a `queue`, a folder, an image that the service does not answer waits there. Raises
    AgentError where the agent does not fit the extractor.
    """

    def __init__(
        self,
        agent: Agent,
        extractor: Extractor,
        *,
        trained: bool = True,
        queue: str | os.PathLike[str] | None = None,
    ) -> None:
        self.extractor = extractor
        self.resume(Controller(agent, agents.monitor_of(agent), trained))
        self.queue = Queue(queue) if queue is not None else None
        self._turn = Lock()  # of the controller

    @classmethod
    def load(
        cls,
        preset: str = agents.DEFAULT_PRESET,
        *,
        agent: str | os.PathLike[str] | None = None,
        extractor: str | os.PathLike[str] | None = None,
        seed: int = 0,
        threads: int | None = None,
        alpha: float | None = None,
        agreement: float | None = None,
        confidence: float | None = None,
        queue: str | os.PathLike[str] | None = None,
    ) -> AdaCompress:
        """The shipped extractor and the shipped agent of a preset, or the files named.

        `agent` may be the state folder of a run, too.

        All but `paper` and `authors` aim at an `agreement`, .95 unless told otherwise, for which
        `upload` sets alpha anew; with a `confidence`, it is a bound that so many streams of ten
        images or more keep. For `choose` alone the agent's alpha holds, which keeps it with the
        services that it learned from; with an `alpha` of AC-3 given, that. `queue` is a folder for
        images that wait.

        Raises ValueError for an unknown preset or less than one thread, AgentError, ArtifactError
        or ModelError for files that are missing, damaged or do not fit each other.
        """
        name, rng = f"agent-{agents.preset(preset).preset}.npz", np.random.default_rng(seed)
        if agent is not None and os.path.isdir(agent):
            loaded = agent_in(agent, rng)  # of a run
        else:
            loaded = agents.load(artifacts.find(name, agent), rng)
        view = agents.view_of(loaded.config)
        pilot = cls(loaded, open_extractor(view, extractor, threads), queue=queue)
        pilot.aim(alpha, agreement, confidence)
        return pilot

    @classmethod
    def untrained(
        cls,
        config: BaseConfig,
        *,
        extractor: str | os.PathLike[str] | None = None,
        seed: int = 0,
        threads: int | None = None,
        queue: str | os.PathLike[str] | None = None,
    ) -> AdaCompress:
        """A new agent that begins in the state retrain."""
        opened = open_extractor(agents.view_of(config), extractor, threads)
        agent = agents.new_agent(config, np.random.default_rng(seed), opened.channels)
        agent.stamp = {"extractor": agents.view_of(config).stamp(opened.sha256)}
        return cls(agent, opened, trained=False, queue=queue)

    def aim(
        self,
        alpha: float | None = None,
        agreement: float | None = None,
        confidence: float | None = None,
    ) -> None:
        """What accuracy is worth, or what is to be reached; see `load`. Raises ValueError."""
        if alpha is not None and not 0 < alpha < 1e6:
            raise ValueError(f"alpha={alpha}: must be above 0 and below 1e6")
        if agreement is not None and not 0 < agreement <= 1:
            raise ValueError(f"agreement={agreement}: must be above 0 and at most 1")
        if confidence is not None and (alpha or not 0.5 <= confidence < 1):
            raise ValueError(f"confidence={confidence}: from .5 to below 1, of an agreement")
        if self.agent.aim:
            self.agent.aim(alpha, agreement, confidence)
        elif alpha or agreement or confidence:
            raise ValueError(
                f"preset {self.config.preset} has learned for alpha {self.config.alpha:g} alone; "
                "alpha, agreement and confidence are for presets tuned and ladder"
            )

    def resume(self, controller: Controller) -> None:
        """Go on from a running system that was kept. Raises AgentError if it does not fit."""
        agent = controller.agent
        view: View = agents.view_of(agent.config, self.extractor.channels)
        agents.check_fits(agent, view.stamp(self.extractor.sha256))
        self.agent, self.config, self.view, self.controller = agent, agent.config, view, controller

    def choose(
        self,
        source: Source | Photo,
        service: Service | None = None,
        *,
        keep_exif: bool = False,
        pixel_limit: int = images.PIXEL_LIMIT,
        formats: Collection[str] | None = None,
        reference: bool = True,
    ) -> Choice:
        """The best encoding for an image (AC-4) and its bytes; nothing is uploaded.

        `source` is a path, bytes, a binary stream or a Photo. A `service`, or `formats`, says which
        formats may be sent; JPEG alone by default. `reference`: encode quality 75 too, to compare
        with. Raises ImageError.
        """
        photo = photo_of(source, pixel_limit)
        sides = [encoding.short_side for encoding in self.view.encodings]
        exif, lost = kept_exif(photo, any(sides)) if keep_exif else (None, [])
        image = LiveImage(photo, self.view, self.extractor, service, exif, formats)
        q_values = self.agent.q_values(image.state)
        action = int(np.argmax(q_values))
        compared = len(image.payloads.reference) if reference else None
        name, payload = image.payloads.of(action)
        return Choice(name, payload, compared, q_values, len(photo.file), lost)

    def choose_many(
        self, sources: Iterable[Source | Photo], *, workers: int = 1, **options: Any
    ) -> Iterator[Choice | ImageError]:
        """`choose` for each of many images, in their order: its choice, or why there is none.

        So many `workers`, threads, are at work at once, a few images ahead of what was asked for;
        with several, `load(threads=1)` is fastest. `options` are those of `choose`. Raises
        ValueError for less than one worker.
        """
        if workers < 1:
            raise ValueError(f"workers={workers}: must be at least 1")

        def choice(source: Source | Photo) -> Choice | ImageError:
            try:
                return self.choose(source, **options)
            except ImageError as error:
                return error

        return in_order(choice, sources, workers)

    def upload(
        self,
        source: Source | Photo,
        service: Service,
        *,
        name: str | None = None,
        pixel_limit: int = images.PIXEL_LIMIT,
    ) -> Result:
        """Send one image through the three states and return the service's labels.

        With a queue, an image that the service does not answer, and each that comes while others
        wait, is kept there under `name`, and its result is `pending`. Raises ImageError,
        RefusedError where the service does not take the image, and without a queue any
        ServiceError; then nothing has been recorded. Raises OSError where the queue is full.
        """
        photo = photo_of(source, pixel_limit, name)
        fault = "others wait before it"
        if not self.queue:  # none, or empty
            try:
                return self._send(photo, service)
            except ServiceError as error:
                if self.queue is None or type(error) in (ServiceError, RefusedError):
                    raise
                fault = str(error)
        self.queue.put(name or photo.name, photo.file)
        return Result(original_bytes=len(photo.file), pending=True, fault=fault)

    def send_waiting(
        self, service: Service
    ) -> Iterator[tuple[str, Result | ImageError | RefusedError]]:
        """Send what waits in the queue, in order: each name with its result, or with what ends it.

        An image leaves the queue when the next one is asked for, so one of which the end was not
        seen is sent again. Where the service does not answer, its ServiceError is raised and all
        wait on; an image that had no answer the last time either holds up no others, and its
        error is raised in the end. Raises OSError for the folder.
        """

        def send(waiting: Waiting) -> Result:  # its size was accepted when it came
            photo = images.read(waiting.file, name=waiting.name, pixel_limit=sys.maxsize)
            return self._send(photo, service)

        return self.queue.send(send) if self.queue is not None else iter(())

    def _send(self, photo: Photo, service: Service) -> Result:
        image = LiveImage(photo, self.view, self.extractor, service)
        _ = image.payloads.reference  # first, as it fails where the image is too large
        image.lap("encode")
        with self._turn:
            step = self.controller.step(image)
        return image.result(step)
