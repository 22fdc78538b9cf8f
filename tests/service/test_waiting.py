"""Those who wait are woken, creations are counted, and signed addresses hold what they say."""

import asyncio
import threading
from pathlib import Path

import pytest

from farm.service import limiter as limiter_module
from farm.service.limiter import Limiter
from farm.service.signing import Signer
from farm.service.watch import Watch


class TestWatch:
    def test_an_end_wakes_whoever_waits_for_it(self) -> None:
        watch = Watch()

        async def wait() -> tuple[bool, bool]:
            mine = asyncio.create_task(watch.wait("a", has_ended=lambda: False, timeout_seconds=10))
            other = asyncio.create_task(
                watch.wait("b", has_ended=lambda: False, timeout_seconds=0.2)
            )
            await asyncio.sleep(0.05)
            threading.Thread(target=watch.ended, args=(["a"],)).start()
            return await mine, await other

        assert asyncio.run(wait()) == (True, False)
        assert watch._waiting == {}

    def test_an_end_just_before_is_not_missed(self) -> None:
        wait = Watch().wait("a", has_ended=lambda: True, timeout_seconds=10)
        assert asyncio.run(wait) is True

    def test_nobody_waits_for_a_service_that_ends(self) -> None:
        watch = Watch()

        async def wait() -> bool:
            waiter = asyncio.create_task(
                watch.wait("a", has_ended=lambda: False, timeout_seconds=10)
            )
            await asyncio.sleep(0.05)
            watch.close()
            return await waiter

        assert asyncio.run(wait()) is False


class TestLimiter:
    def test_each_key_has_its_own_and_gets_it_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr(limiter_module.time, "monotonic", lambda: now)
        limiter = Limiter(2)
        assert [limiter.take("a").remaining for _ in range(2)] == [1, 0]
        refused = limiter.take("a")
        assert refused.headers == {
            "X-RateLimit-Limit": "2",
            "X-RateLimit-Remaining": "0",
            "Retry-After": "60",
        }
        assert "Retry-After" not in limiter.take("b").headers
        now += 59.5
        assert limiter.take("a").retry_after_seconds == 1
        now += 0.5
        assert limiter.take("a").retry_after_seconds == 0


class TestSigner:
    def test_a_signature_holds_for_its_facts_and_its_key(self, tmp_path: Path) -> None:
        signer = Signer(tmp_path / "key")
        signature = signer.sign("file", 1, "a.png")
        assert signer.is_signed(signature, "file", 1, "a.png")
        assert Signer(tmp_path / "key").is_signed(signature, "file", 1, "a.png")
        assert not signer.is_signed(signature, "file", 2, "a.png")
        assert not signer.is_signed(signature, "file", "1a.png", "")
        assert not signer.is_signed("ö" * 64, "file", 1, "a.png")
        assert not Signer(tmp_path / "other").is_signed(signature, "file", 1, "a.png")

    def test_its_key_is_for_the_service_alone(self, tmp_path: Path) -> None:
        Signer(tmp_path / "key")
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600

    def test_a_key_that_was_cut_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"short")
        with pytest.raises(ValueError, match="32 bytes"):
            Signer(tmp_path / "key")
