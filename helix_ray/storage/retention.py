"""What is taken out: runs that are not kept, dead letters that are sent again, an empty schema before a backup is restored."""

from __future__ import annotations

from collections.abc import Sequence

from helix_ray.storage.postgres_session import PostgresSession, PostgresTransaction
from helix_ray.storage.statements import statements

DELETED = ("receipts", "variants", "reads", "requests", "commands", "run")
"""In the order in which nothing is referred to any more."""


class Retention:
    """The methods of `PostgresLedger` that delete."""

    _session: PostgresSession

    async def delete_run(self, run_id: str) -> dict[str, int]:
        """Deletes all rows of a run in one transaction, and returns their number by `DELETED`.

        RunBusyError while another process writes it.
        """
        sql = statements("retention")

        async def work(transaction: PostgresTransaction) -> dict[str, int]:
            return {name: await transaction.execute(sql[f"delete_{name}"], {"run_id": run_id}) for name in DELETED}

        await self._session.claim(run_id)
        return await self._session.run(work)

    async def redrive(self, run_id: str, read_indices: Sequence[int]) -> int:
        """Moves these dead letters of a run to ``redriven``, so that a resumed run asks for their reads again. Their number.

        Reads that are no dead letters are left alone. A complete run can be resumed then. RunBusyError while
        another process writes it.
        """
        await self._session.claim(run_id)
        found = await self._session.rows("retention", "redrive", {"run_id": run_id, "read_indices": list(read_indices)})
        return int(found[0]["reads"])

    async def counts_for_limits(self, run_id: str) -> bool:
        """Whether a provider was asked in the last 24 hours, which is as far back as a limit reaches. False for simulated runs."""
        return bool((await self._session.rows("retention", "counts_for_limits", {"run_id": run_id}))[0]["found"])

    async def runs_of_input(self, path: str) -> int:
        """How many stored runs read this file."""
        return int((await self._session.rows("retention", "runs_of_input", {"path": path}))[0]["runs"])

    async def make_room(self) -> int:
        """Drops the schema if no run is in it, so that another can be restored in its place. The number of runs; 0: it is gone."""
        sql = statements("retention")

        async def work(transaction: PostgresTransaction) -> int:
            if not (await transaction.rows(sql["schema_is_there"]))[0]["found"]:
                return 0
            runs = int((await transaction.rows(sql["count_runs"]))[0]["runs"])
            if runs == 0:
                await transaction.execute(sql["drop_schema"])
            return runs

        return await self._session.run(work)
