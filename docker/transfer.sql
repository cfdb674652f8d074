-- One transfer between accounts on two servers: docker/compose.sh run --rm -T client <docker/transfer.sql
CREATE DATABASE IF NOT EXISTS savings;
CREATE TABLE IF NOT EXISTS savings.account (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL);
INSERT IGNORE INTO savings.account (id, cents) VALUES (1, 10000), (2, 10000), (3, 10000), (4, 10000);
EXPLAIN ROUTE SELECT cents FROM savings.account WHERE id = 1;
EXPLAIN ROUTE SELECT cents FROM savings.account WHERE id = 2;
BEGIN;
UPDATE savings.account SET cents = cents - 100 WHERE id = 1;
UPDATE savings.account SET cents = cents + 100 WHERE id = 2;
COMMIT;
SELECT id, cents FROM savings.account ORDER BY id;
SELECT SUM(cents) FROM savings.account;
