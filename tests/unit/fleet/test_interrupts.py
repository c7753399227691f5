"""Signals that end a run: delivered as interrupts, and delayed where they would leave something half done."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from hardener.fleet.interrupts import delayed, interruptible

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_termination_signal_is_an_interrupt(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_an_installed_handler_of_a_termination_signal_is_not_replaced() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_delayed_interrupt_is_raised_once_at_the_end_of_the_block(number: signal.Signals) -> None:
    passed = []

    def block() -> None:
        with delayed():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            passed.append("rest of the block")

    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            block()
        with delayed():
            passed.append("next block")
    assert passed == ["rest of the block", "next block"]


def test_an_interrupted_start_leaves_a_thread_that_can_be_joined() -> None:
    begun = threading.Event()
    interrupter = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
    thread = threading.Thread(target=begun.set)

    def start() -> None:
        with delayed():
            interrupter.start()
            interrupter.join()
            thread.start()

    with interruptible(), pytest.raises(KeyboardInterrupt):
        start()
    thread.join()
    assert begun.is_set()


def test_a_delay_in_another_thread_does_not_delay_an_interrupt() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with delayed():
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with interruptible(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    go_on.set()
    thread.join()
