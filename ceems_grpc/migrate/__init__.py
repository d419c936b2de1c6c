"""Rewrites dashboards that read the CEEMS REST API through the Infinity data source: pure functions over JSON.

Infinity is the plugin ``yesoreyeram-infinity-datasource``. Panel targets become queries as docs/query.md has them.
Query variables become what the frontend's variable editor stores::

    {"refId": "variable", "kind": "users" | "projects" | "clusters" | "resource-managers" | "uuids" | "states",
     "clusters": [...], "projects": [...], "users": [...], "admin": true | false | "auto"}

Empty lists are left out.
"""
