"""Define what is judged, set and given back on a host: each subject once, with all that is known of it.

``host`` finds the engine's paths by the facts of a snapshot. ``audit`` has the paths that audit rules must
record, ``files`` the paths whose owner and mode matter, ``owners`` the role that each unit, activation and
package belongs to. Checks judge these subjects, renderers set them, the collector reads them, and a release
gives them back: so all of them import these tables, which import no other module.
"""
