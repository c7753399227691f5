from tests.unit.schedule.manager import manager

__all__ = ["manager"]
