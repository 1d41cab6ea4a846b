"""Agents of several nodes: how they meet, what they refuse, how they end as one, and that none waits for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from loopback import free_ports

from mimctl.engine.nodes import first, follower, joining, line
from mimctl.engine.nodes.gathering import gather
from mimctl.engine.nodes.team import Alone, Member
from mimctl.engine.nodes.verdict import Outcome, Verdict, decide, failed
from mimctl.engine.ranks import meeting
from mimctl.engine.ranks.place import RankPlace, take_place
from mimctl.errors import MimctlError, UsageError
from mimctl.spec import LauncherFacts, RunSpec

HOSTS = {0: "left", 1: "right"}
DONE = Outcome(kind="done")
STOPPED = Outcome(kind="stopped", code=1)


def error(code: str, exit_code: int = 1) -> Outcome:
    return failed(MimctlError(code, code=code, exit_code=exit_code))


@pytest.mark.parametrize(
    ("outcomes", "code", "told"),
    [
        ((DONE, DONE), 0, None),
        ((error("bad-data", 3), STOPPED), 3, "bad-data"),
        ((error("rank-lost"), error("bad-data", 3)), 3, "bad-data"),
        ((error("rank-lost"), error("rank-died", 137)), 137, "rank-died"),
        ((error("bad-data", 3), error("rank-died", 137)), 137, "rank-died"),
        ((error("bad-data", 3), error("rank-died", 7)), 3, "bad-data"),
        ((error("rank-timeout"), error("rank-lost")), 1, "rank-timeout"),
        ((error("rank-lost"), None), 1, "node-lost"),
        ((DONE, None), 1, "node-lost"),
        ((error("bad-data", 3), None), 3, "bad-data"),
        ((Outcome(kind="asked", code=143), Outcome(kind="asked", code=143)), 143, None),
        ((error("rank-lost"), Outcome(kind="asked", code=130)), 130, "terminated"),
        ((STOPPED, Outcome(kind="asked", code=143)), 143, "terminated"),
    ],
)
def test_the_error_of_the_node_that_began_is_everybodys(
    outcomes: tuple[Outcome | None, ...], code: int, told: str | None
) -> None:
    found = decide(dict(enumerate(outcomes)), HOSTS, restarts_left=0)
    assert (found.code, found.error["code"] if found.error else None) == (code, told)
    assert not found.starts_again


@pytest.mark.parametrize(
    ("outcomes", "left", "again"),
    [
        ((error("rank-died", 137), STOPPED), 1, True),
        ((error("rank-died", 137), STOPPED), 0, False),
        ((error("rank-died", 137), None), 1, False),
        ((replace(error("rank-died", 137), is_leaving=True), STOPPED), 1, False),
        ((failed(UsageError("a wrong word")), STOPPED), 1, False),
        ((Outcome(kind="asked", code=143), STOPPED), 1, False),
        ((DONE, DONE), 1, False),
    ],
)
def test_ranks_are_started_again_where_that_may_help(
    outcomes: tuple[Outcome | None, ...], left: int, again: bool
) -> None:
    assert decide(dict(enumerate(outcomes)), HOSTS, left).starts_again is again


def test_ranks_learn_their_place_among_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    local = {"RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    place = RankPlace(attempt=2, node=1, num_nodes=3, host="head", port=29400, interface="eth7")
    environ = {**local, **place.to_variables()}
    monkeypatch.setattr(os, "environ", environ)
    take_place()
    found = [environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "MASTER_ADDR")]
    assert found == ["3", "6", "1", "1", "head"]
    assert (environ["MASTER_PORT"], environ["GLOO_SOCKET_IFNAME"]) == ("29400", "eth7")
    assert environ["TORCHELASTIC_RESTART_COUNT"] == "2"
    assert "MIMCTL_PLACE" not in environ, "a process that a rank starts is none of the ranks"


def spec_of(node: int, port: int, *, host: str = "127.0.0.1", num_nodes: int = 2, **changes: Any) -> RunSpec:
    facts = {"kind": "pytorch", "num_procs": 2, "num_nodes": num_nodes, "node_rank": node}
    return RunSpec(
        plugin="toy",
        package="toy",
        action="test",
        entry="a:b",
        mimctl_version="0",
        launcher=LauncherFacts(**facts, rdzv_endpoint=f"{host}:{port}"),
        **changes,
    )


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def on_nodes() -> Iterator[Callable[..., list[Any]]]:
    """Return a function that calls others, one a node, each in a thread, and returns results or errors."""

    def call(*functions: Callable[[], Any], timeout_s: float = 240) -> list[Any]:
        results: list[Any] = ["it did not end"] * len(functions)

        def work(number: int) -> None:
            try:
                results[number] = functions[number]()
            except MimctlError as err:
                results[number] = err

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout_s)
        return results

    return call


def test_nodes_begin_and_end_an_attempt_as_one(port: int, on_nodes: Callable[..., list[Any]]) -> None:
    died = error("rank-died", 137)

    def node(number: int) -> Callable[[], Any]:
        def work() -> Any:
            with gather(spec_of(number, port)) as team:
                begun = team.begin(0, resumes=False)
                if number == 1:
                    team.tell_failure()
                while not team.has_failed_elsewhere() and number == 0:
                    time.sleep(0.05)
                verdict = team.settle(died if number == 1 else STOPPED, 1)
                again = team.begin(1, resumes=number == 0)
                last = team.settle(DONE, 0)
                return begun.place.port != again.place.port, again.resumes, verdict, last

        return work

    found = on_nodes(node(0), node(1))
    assert found[0] == found[1]
    has_new_store, resumes, verdict, last = found[0]
    assert has_new_store, "what the ranks of the first attempt left must not be read by those of the second"
    assert resumes, "as the first node says"
    assert verdict == Verdict(code=137, error=died.error, starts_again=True)
    assert last == Verdict(code=0)


def test_nodes_that_were_not_started_alike_are_refused(port: int, on_nodes: Callable[..., list[Any]]) -> None:
    found = on_nodes(lambda: gather(spec_of(0, port, seed=1)), lambda: gather(spec_of(1, port, seed=2)))
    assert [each.code for each in found] == ["nodes-differ"] * 2
    assert "--seed" in found[1].message
    assert found[0].causes == found[1].causes


def test_one_rank_for_two_nodes_is_refused(port: int, on_nodes: Callable[..., list[Any]]) -> None:
    def leave(team: Alone) -> str:
        team.__exit__()
        return "together"

    specs = [spec_of(0, port, num_nodes=3), spec_of(1, port, num_nodes=3), spec_of(1, port, num_nodes=3)]
    found = on_nodes(*(lambda spec=spec: leave(gather(spec, join_s=6)) for spec in specs))  # type: ignore[misc]
    codes = sorted(getattr(each, "code", str(each)) for each in found)
    assert codes == ["node-missing", "node-missing", "nodes-differ"]


def test_a_node_that_does_not_come_is_named(port: int) -> None:
    begun = time.monotonic()
    with pytest.raises(MimctlError, match=r"node 1 did not come to `127.0.0.1:\d+`") as caught:
        gather(spec_of(0, port), join_s=1)
    assert caught.value.code == "node-missing"
    with pytest.raises(MimctlError) as caught:
        gather(spec_of(1, port), join_s=1)
    assert caught.value.code == "no-meeting-place"
    assert "Connection refused" in caught.value.causes[0]
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("node", [0, 1])
def test_a_host_that_nobody_knows_is_one_error_soon(node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "PATIENCE_S", 2.0)
    begun = time.monotonic()
    with pytest.raises(MimctlError, match=r"no-such-host\.invalid:29400") as caught:
        gather(spec_of(node, 29400, host="no-such-host.invalid"))
    assert caught.value.code == "no-meeting-place"
    assert time.monotonic() - begun < 60


def test_a_first_node_that_is_another_machine_is_told_so(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "REACH_S", 2.0)
    begun = time.monotonic()
    with pytest.raises(MimctlError) as caught:
        gather(spec_of(0, port, host="192.0.2.1"))
    assert caught.value.code == "no-meeting-place"
    assert "`--node-rank 0`" in caught.value.hints[0]
    assert time.monotonic() - begun < 60


def test_a_port_that_another_program_has_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(MimctlError) as caught:
            gather(spec_of(0, taken.getsockname()[1]))
    assert caught.value.code == "port-in-use"


@pytest.mark.parametrize("gone", [0, 1])
def test_a_node_that_falls_silent_is_lost(
    port: int, gone: int, on_nodes: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (line, first, follower):
        monkeypatch.setattr(module, "SILENT_AFTER_FAILURE_S", 1.0)

    def node(number: int) -> Callable[[], Any]:
        def work() -> Any:
            with gather(spec_of(number, port)) as team:
                assert isinstance(team, Member)
                team.begin(0, resumes=False)
                time.sleep(0.5)
                if number != gone:
                    return team.settle(error("rank-lost"), 1)
                team.line.close()
                return None

        return work

    verdict = on_nodes(node(0), node(1))[1 - gone]
    assert (verdict.error["code"], verdict.error["details"]["nodes"]) == ("node-lost", [gone])
    assert not verdict.starts_again
