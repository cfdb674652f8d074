# A row alone at its shard that ON DUPLICATE KEY UPDATE left as it was counted as a duplicate.
shards: 3
text: CREATE TABLE b (k INT NOT NULL, n INT NOT NULL, c1 INT, PRIMARY KEY (k,n))
text: INSERT INTO b VALUES («1»,«1»,«1»),(«2»,«2»,«2»),(«3»,«3»,«3»)
text: INSERT INTO b VALUES («1»,«1»,«9»),(«2»,«5»,«9»),(«3»,«3»,«9») ON DUPLICATE KEY UPDATE c1 = c1
text: INSERT INTO b VALUES («1»,«1»,«9»),(«2»,«6»,«9»),(«3»,«3»,«9») ON DUPLICATE KEY UPDATE c1 = c1 + 1
text: INSERT IGNORE INTO b VALUES («1»,«1»,«9»),(«2»,«7»,«9»),(«3»,«3»,«9»)
text: INSERT IGNORE INTO b VALUES («1»,«1»,«9»),(«2»,«8»,«9»),(«3»,«3»,«9») ON DUPLICATE KEY UPDATE c1 = c1
text: INSERT IGNORE INTO b VALUES («1»,«1»,«9»),(«2»,«8»,«9»),(«3»,«4»,«9») ON DUPLICATE KEY UPDATE c1 = c1 + 1
text: REPLACE INTO b VALUES («1»,«1»,«9»),(«2»,«9»,«9»),(«3»,«3»,«9»)
check:
