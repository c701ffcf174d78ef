"""A search from its first to its last iteration, without the outputs that are written afterwards."""

from gsnet.evolution.session import RunOptions, Session


def searched(settings, folder=None):
    """All rows of a search, which is taken up where the folder has one."""
    session = Session(settings, folder, RunOptions(resume=True))
    try:
        while not session.search.finished:
            session.search.advance()
        session.history.commit()
        return list(session.history.rows())
    finally:
        session.close()
