"""The HTTP service: two published APIs in front of the farm's own cluster and lanes.

A request becomes a job of tasks (`model`, `store`); the `runner` carries out what is ready
(`operation`), with thumbnails made by the cluster as urgent entries. The dialects, `cloudconvert`
and `qencode`, only translate.
"""
