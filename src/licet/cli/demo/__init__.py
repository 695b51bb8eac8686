"""The story that shows the main job end to end, on a real server, and checks that every outcome is as told."""
