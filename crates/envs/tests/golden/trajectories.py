"""Writes trajectories.json: python trajectories.py trajectories.json, with Gymnasium."""
import json, sys, gymnasium as gym, numpy as np
out={"made_by":"crates/envs/tests/golden/trajectories.py with Gymnasium %s, numpy %s"%(gym.__version__,np.__version__)}
rng=np.random.default_rng(7)
def run(env_id, start, actions):
    env=gym.make(env_id).unwrapped; env.reset(seed=0)
    env.state=np.array(start,dtype=np.float64)
    states,ends=[],[]
    for a in actions:
        _,r,t,_,_=env.step(int(a)); states.append([float(x) for x in env.state]); ends.append(bool(t))
    return {"start":start,"actions":[int(a) for a in actions],"states":states,"terminated":ends}
out["cart_pole"]=[run("CartPole-v1",[float(x) for x in rng.uniform(-.05,.05,4)],rng.integers(0,2,12)) for _ in range(3)]
out["cart_pole"].append(run("CartPole-v1",[0.0,0.0,0.2,0.5],[1]))
starts=[[-0.5,0.0],[-1.19,-0.06],[0.45,0.06]]
out["mountain_car"]=[run("MountainCar-v0",s,rng.integers(0,3,n)) for s,n in zip(starts,(10,5,1))]
json.dump(out,open(sys.argv[1],"w"))
