-- Where the rows, orders and money of all accepted files are. Sent rows are counted by landing
-- (ops.landed_files); sent orders and money are read from raw, independently of staging
-- (int_sent_*). Money has no sign: refund lines are positive in some shops, negative in others.
with

files as (

    select
        files.record_count,
        substr(files.table_name, length(files.source) + 2) as table_name,
        sent.sent_amount
    from staging.stg_ops__landed_files as seen
    inner join ops.landed_files as files on seen.file_id = files.file_id
    left join intermediate.int_sent_files as sent on seen.file_id = sent.file_id
    where seen.is_accepted

),

sent_orders as (

    select distinct order_id
    from intermediate.int_sent_rows
    where order_id <> ''

),

rejects as (

    select *, abs(coalesce(sent_amount, 0)) as amount
    from intermediate.int_rejected_rows
    where table_name in (select table_name from files where sent_amount is not null)

),

in_raw as (

    select
        (
            select coalesce(sum(record_count), 0)
            from files
            where table_name in (select table_name from files where sent_amount is not null)
        ) as count_rows,
        (
            select count(*)
            from (
                select order_id from sent_orders
                union
                select order_id from rejects where is_unread and order_id is not null
            ) as order_ids
        ) as count_orders,
        (select coalesce(sum(sent_amount), 0) from files)
        + (select coalesce(sum(amount), 0) from rejects where is_unread) as amount

),

orders as (

    select order_id, case when is_guest then 'guests' else 'customers' end as place
    from marts.fct_orders

    union all

    select distinct refund_id, 'refunds'
    from marts.fct_refunds

    union all

    select distinct order_id, 'charges'
    from marts.fct_charges
    where
        not exists (select from marts.fct_orders where fct_orders.order_id = fct_charges.order_id)
        and not exists (select from marts.fct_refunds where fct_refunds.refund_id = fct_charges.order_id)

),

rejected_orders as (

    select distinct on (order_id) order_id, rejected_reason
    from rejects
    where order_id is not null and order_id not in (select order_id from orders)
    order by order_id, rejected_reason ~ %(sent_again)s, table_name <> 'orders', rejected_reason

),

parts as (

    select place, '' as reason, 0 as count_rows, count(*) as count_orders, 0 as amount
    from orders
    group by place

    union all

    -- where orders have a table of their own, each has one row in it
    select place, '', count(*), 0, 0
    from orders
    where exists (select from files where table_name = 'orders' and sent_amount is not null)
    group by place

    union all

    select case when is_guest then 'guests' else 'customers' end, '', count(*), 0, sum(abs(line_amount))
    from marts.fct_order_items
    group by is_guest

    union all

    select 'refunds', '', count(*), 0, sum(abs(refund_amount))
    from marts.fct_refunds

    union all

    select 'charges', '', count(*), 0, sum(abs(charge_amount))
    from marts.fct_charges

    union all

    select 'rejected', rejected_reason, count(*), 0, sum(amount)
    from rejects
    group by rejected_reason

    union all

    select 'rejected', rejected_reason, 0, count(*), 0
    from rejected_orders
    group by rejected_reason

),

flows as (

    select 'in raw' as place, '' as reason, count_rows, count_orders, amount
    from in_raw

    union all

    select place, reason, sum(count_rows), sum(count_orders), coalesce(sum(amount), 0)
    from parts
    group by place, reason

    union all

    select
        'not accounted for',
        '',
        in_raw.count_rows - coalesce(sum(parts.count_rows), 0),
        in_raw.count_orders - coalesce(sum(parts.count_orders), 0),
        in_raw.amount - coalesce(sum(parts.amount), 0)
    from in_raw
    left join parts on true
    group by in_raw.count_rows, in_raw.count_orders, in_raw.amount

)

select place, reason, count_rows::bigint, count_orders::bigint, amount
from flows
where count_rows <> 0 or count_orders <> 0 or amount <> 0 or place in ('in raw', 'not accounted for')
order by
    array_position(
        array['in raw', 'customers', 'guests', 'refunds', 'charges', 'rejected', 'not accounted for'], place
    ),
    amount desc,
    count_rows desc,
    reason
