-- That a run came to its end. Sent twice it says so twice.
INSERT INTO masques_ops.reputation_runs (began_at, is_full, model_version)
SELECT {began_at:DateTime64(6, 'UTC')}, {is_full:UInt8}, {model_version:String}
