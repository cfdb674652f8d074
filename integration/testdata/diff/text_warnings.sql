# A warning about the statement's text was told once for each part.
kinds: mysql
shards: 3
text: CREATE TABLE b (k INT NOT NULL, n INT NOT NULL, c1 INT, c2 VARCHAR(20), clock_made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), PRIMARY KEY (k,n))
text: INSERT INTO b (k,n,c1,c2) VALUES («1»,«1»,«1»,«'x'»),(«2»,«2»,«2»,«'y'»),(«3»,«3»,«3»,«'z'») ON DUPLICATE KEY UPDATE c1 = VALUES(c1)
text: SHOW WARNINGS
text: BEGIN
prepared: INSERT INTO b (k,n,c1,c2) VALUES («1»,«1»,«1»,«'x'»),(«2»,«2»,«2»,«'y'»),(«4»,«3»,«3»,«'z'») ON DUPLICATE KEY UPDATE c1 = VALUES(c1)
text: SHOW COUNT(*) WARNINGS
text: COMMIT
check:
