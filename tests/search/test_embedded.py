"""What only the embedded engine has: files, a lock, and other processes."""

import gc
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portal.access import ANONYMOUS, Role, viewer_for
from portal.search.embedded.engine import EmbeddedEngine
from portal.search.engine import EngineDown, EngineLocked, IndexCorrupt, IndexMissing
from portal.search.guidance import Guidance, default_guidance
from portal.search.request import SearchRequest
from tests.contract.conftest import put
from tests.contract.corpus import document

ASKED = SearchRequest(viewer=ANONYMOUS, text="alpha")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    made = EmbeddedEngine(tmp_path)
    made.create_index("one")
    made.swap("one")
    put(made, [document(1, "alpha"), document(2, "alpha beta")])
    yield made
    made.close()


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder / "one").glob(f"*{suffix}"))


def in_another_process(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    before = (
        "import sys; from pathlib import Path\n"
        "from portal.search.embedded.engine import EmbeddedEngine\n"
        "from tests.contract.corpus import document\n"
        "engine = EmbeddedEngine(Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", before + code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


@pytest.mark.thorough
def test_only_one_process_writes(engine: EmbeddedEngine, tmp_path: Path) -> None:
    write = "print(engine.write('one', [document(3, 'alpha')])[0].outcome); engine.close()"
    refused = in_another_process(write, tmp_path)
    assert "EngineLocked" in refused.stderr
    assert str(os.getpid()) in refused.stderr
    with pytest.raises(EngineLocked, match="written by process"):
        EmbeddedEngine(tmp_path).write("one", [document(3, "alpha")])
    engine.close()
    assert in_another_process(write, tmp_path).stdout.strip() == "done"


@pytest.mark.thorough
def test_a_commit_of_another_process_is_seen_at_once(engine: EmbeddedEngine, tmp_path: Path) -> None:
    reader = EmbeddedEngine(tmp_path)
    assert reader.search(ASKED).total == 2
    engine.close()
    done = in_another_process("engine.write('one', [document(3, 'alpha')]); engine.close()", tmp_path)
    assert done.returncode == 0, done.stderr
    assert reader.search(ASKED).total == 3


@pytest.mark.thorough
def test_a_swap_of_another_process_is_seen_at_once(engine: EmbeddedEngine, tmp_path: Path) -> None:
    reader = EmbeddedEngine(tmp_path)
    assert reader.search(ASKED).total == 2
    engine.close()
    done = in_another_process(
        "engine.create_index('two'); engine.write('two', [document(3, 'alpha')]); engine.swap('two')\n"
        "engine.drop('one'); engine.close()",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert [hit.id for hit in reader.search(ASKED).hits] == ["article:3"]


@pytest.mark.thorough
def test_readers_go_on_while_segments_merge_and_go(engine: EmbeddedEngine, tmp_path: Path) -> None:
    reader = EmbeddedEngine(tmp_path)
    for number in range(3, 60):
        put(engine, [document(number, "alpha"), document(number, "alpha", version=2)])
        assert reader.search(ASKED).total == number


@pytest.mark.thorough
def test_what_was_not_committed_is_lost_and_what_was_is_kept(engine: EmbeddedEngine, tmp_path: Path) -> None:
    engine.close()
    killed = in_another_process(
        "import os, signal\n"
        "engine.write('one', [document(3, 'alpha')]); engine.commit('one')\n"
        "engine.write('one', [document(4, 'alpha')]); os.kill(os.getpid(), signal.SIGKILL)",
        tmp_path,
    )
    assert killed.returncode == -9
    again = EmbeddedEngine(tmp_path)
    assert again.search(ASKED).total == 3
    assert again.write("one", [document(4, "alpha")])[0].outcome == "done"
    again.close()
    assert again.search(ASKED).total == 4


def test_a_forked_child_reads_and_does_not_hang(engine: EmbeddedEngine, tmp_path: Path) -> None:
    assert engine.search(ASKED).total == 2
    child = os.fork()
    if child == 0:
        gc.disable()  # What other tests left behind is their process's to clear away.
        status = 1
        try:
            status = 0 if engine.search(ASKED).total == 2 else 2
            engine.close()
        finally:
            os._exit(status)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(status) == 0
    put(engine, [document(5, "alpha")])
    assert engine.search(ASKED).total == 3


@pytest.mark.parametrize("harm", ["meta", "garbage", "truncated", "missing", "format"])
def test_a_damaged_index_is_noticed(engine: EmbeddedEngine, tmp_path: Path, harm: str) -> None:
    engine.close()
    if harm == "meta":
        (tmp_path / "one" / "meta.json").write_text("{")
    elif harm == "garbage":
        path = max(files(tmp_path, ".idx") + files(tmp_path, ".pos"), key=lambda p: p.stat().st_size)
        data = bytearray(path.read_bytes())
        data[0] ^= 0xFF
        path.chmod(0o600)
        path.write_bytes(data)
    elif harm == "truncated":
        path = files(tmp_path, ".store")[0]
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:20])
    elif harm == "missing":
        files(tmp_path, ".fast")[0].unlink()
    else:
        (tmp_path / "one" / "format").write_text("0 other\n")
    again = EmbeddedEngine(tmp_path)
    with pytest.raises(IndexCorrupt, match="rebuild"):
        again.check("one")
    if harm != "garbage":
        assert not again.health().is_up
        with pytest.raises(IndexCorrupt):
            again.search(ASKED)


def test_what_a_killed_writer_left_half_written_is_no_damage(engine: EmbeddedEngine, tmp_path: Path) -> None:
    engine.close()
    whole = files(tmp_path, ".store")[0]
    half_a_segment = whole.with_name("0" * 32 + ".store")
    half_a_segment.write_bytes(whole.read_bytes()[:20])
    half_a_deletion = whole.with_name(f"{whole.stem.partition('.')[0]}.999.del")
    half_a_deletion.write_bytes(b"")
    again = EmbeddedEngine(tmp_path)
    again.check("one")
    put(again, [document(6, "alpha")])
    assert again.search(ASKED).total == 3
    again.close()


def test_a_damaged_index_can_be_replaced(engine: EmbeddedEngine, tmp_path: Path) -> None:
    engine.close()
    (tmp_path / "one" / "meta.json").unlink()
    again = EmbeddedEngine(tmp_path)
    with pytest.raises(IndexCorrupt):
        again.search(ASKED)
    again.create_index("two")
    put(again, [document(1, "alpha")], "two")
    again.swap("two")
    again.drop("one")
    assert again.search(ASKED).total == 1
    again.close()


def test_a_lost_folder_is_said(engine: EmbeddedEngine, tmp_path: Path) -> None:
    (tmp_path / "live").write_text("elsewhere")
    with pytest.raises(IndexMissing, match="rebuild"):
        engine.search(ASKED)


def test_a_failed_write_is_said_and_can_be_done_again(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def add_json(self, _: object) -> None:
            raise ValueError("An IO error occurred: 'No space left on device (os error 28)'")

    engine.write("one", [document(3, "alpha")])
    engine._writers["one"].writer = Full()  # type: ignore[assignment]
    with pytest.raises(EngineDown, match=r"No space left on device.*room on the disk"):
        engine.write("one", [document(4, "alpha")])
    put(engine, [document(3, "alpha"), document(4, "alpha")])
    assert engine.search(ASKED).total == 4


def test_a_whole_index_passes_the_check(engine: EmbeddedEngine) -> None:
    engine.check("one")


@pytest.mark.thorough
def test_memory_of_versions_is_bounded(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.search.embedded.engine.MOST_PENDING", 10)
    for number in range(100):
        engine.write("one", [document(number + 10, "alpha")])
        assert len(engine._writers["one"].pending) <= 11
    engine.commit("one")
    assert engine.search(ASKED).total == 102


@pytest.mark.parametrize(("limit", "times"), [(10**15, 0), (-(10**15), 2)])
def test_an_index_that_is_much_in_memory_is_opened_anew(
    engine: EmbeddedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, times: int
) -> None:
    monkeypatch.setattr("portal.search.embedded.mapped.MOST_MAPPED_BYTES", limit)
    opened: list[object] = []
    for _ in range(3):
        assert engine.search(ASKED).total == 2
        if not opened or opened[-1] is not engine._reader:
            opened.append(engine._reader)
    assert len(opened) == 1 + times
    opened.clear()
    # What was opened before is closed with it: a file is mapped for the writer and for one reader.
    held = Counter(
        line.split()[5] for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line
    )
    assert max(held.values()) == 2


def test_who_searches_meanwhile_is_not_disturbed(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.search.embedded.mapped.MOST_MAPPED_BYTES", -(10**15))
    with ThreadPoolExecutor(max_workers=4) as threads:
        totals = list(threads.map(lambda _: engine.search(ASKED).total, range(40)))
    assert set(totals) == {2}


def test_an_index_that_nothing_is_written_to_is_closed_and_stays_this_process_s(
    engine: EmbeddedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count(str(tmp_path / "one"))

    engine.rest()
    assert held() > 0, "it was written to just now"
    monkeypatch.setattr("portal.search.embedded.engine.RESTS_AFTER_S", 0.0)
    engine.write("one", [document(3, "alpha")])
    engine.rest()
    assert held() == 0
    with pytest.raises(EngineLocked):
        EmbeddedEngine(tmp_path).write("one", [document(4, "alpha")])
    assert engine.search(ASKED).total == 3, "what waited for a commit was committed"
    put(engine, [document(4, "alpha")])
    assert engine.search(ASKED).total == 4


def test_one_search_at_a_time_keeps_pages_of_the_index(engine: EmbeddedEngine, tmp_path: Path) -> None:
    inside: list[int] = []
    most = 0

    def guidance() -> Guidance:
        nonlocal most
        inside.append(1)
        most = max(most, len(inside))
        time.sleep(0.002)
        inside.pop()
        return default_guidance()

    reader = EmbeddedEngine(tmp_path, guidance=guidance)
    with ThreadPoolExecutor(max_workers=4) as threads:
        totals = list(threads.map(lambda _: reader.search(ASKED).total, range(12)))
    assert set(totals) == {2}
    assert most == 1
    reader.close()


def test_first_letters_are_answered_anew_after_a_commit_and_for_each_viewer(engine: EmbeddedEngine) -> None:
    staff = viewer_for(Role.AGENT, user_id=1)
    assert [found.title for found in engine.suggest(ANONYMOUS, "a")] == ["alpha", "alpha beta"]
    put(engine, [document(3, "afterwards", readers=frozenset({"staff"}))])
    assert "afterwards" not in [found.title for found in engine.suggest(ANONYMOUS, "a")]
    assert "afterwards" in [found.title for found in engine.suggest(staff, "a")]
    assert "afterwards" not in [found.title for found in engine.suggest(ANONYMOUS, "a")]
