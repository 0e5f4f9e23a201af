SELECT count(), toString(max(computed_at)) FROM masques.reputation_scores FINAL
