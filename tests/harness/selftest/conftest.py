"""Places for databases, as in the tests of the store."""

from tests.db.conftest import new_place

__all__ = ["new_place"]
