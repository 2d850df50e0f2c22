"""The pages on which editors steer the search and see what it does; each subject has a module of its own."""

from flask import Flask

from portal.search.current import GUIDANCE
from portal.steering import judging_views, measure_views, rule_views
from portal.steering.in_force import GuidanceInForce


def init_app(app: Flask) -> None:
    """Register the pages, and tell search what steers it."""
    app.extensions[GUIDANCE] = GuidanceInForce()
    for module in (rule_views, judging_views, measure_views):
        app.register_blueprint(module.blueprint)
