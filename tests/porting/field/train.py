"""Train what a config says: python train.py CONFIG WORK_DIR"""

import sys

from mmengine import Config
from mmengine.runner import Runner

import grain  # noqa: F401  (registers its classes)


def main() -> None:
    cfg = Config.fromfile(sys.argv[1])
    cfg.work_dir = sys.argv[2]
    runner = Runner.from_cfg(cfg)
    runner.train()
    print(f"iterations: {runner.iter}", flush=True)


if __name__ == "__main__":
    main()
