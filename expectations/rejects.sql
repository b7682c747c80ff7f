-- What expectations/rejects.py asks the warehouse, a statement each.

-- name: sent
-- What counts, by group: orders and their money; of a product its lines.
with

orders as (

    select country, to_char(ordered_date, 'YYYY-MM') as month, product_amount + charge_amount as amount
    from marts.fct_orders

),

items as (

    select product_id, count(*) as count_lines, sum(line_amount) as amount
    from marts.fct_order_items
    group by product_id

    union all

    select charge_code, count(*), sum(abs(charge_amount))
    from marts.fct_charges
    group by charge_code

)

select
    case when grouping(month) = 0 then 'month' when grouping(country) = 0 then 'country' else 'all' end,
    coalesce(country, month, ''),
    count(*),
    coalesce(sum(amount), 0)::double precision
from orders
group by grouping sets ((), (country), (month))
having grouping(country) = 1 or country is not null

union all

select 'product', product_id, sum(count_lines), sum(amount)::double precision
from items
group by product_id

union all

select
    'table',
    substr(files.table_name, length(files.source) + 2),
    sum(files.record_count),
    0
from ops.landed_files as files
inner join staging.stg_ops__landed_files as seen on files.file_id = seen.file_id
where seen.is_accepted
group by files.source, files.table_name

-- name: rejected
-- What does not count, by group and reason (what stands before its colon), and by all faults. The reason '' has what was sent nowhere else: orders
-- that are in no mart, and the money of all rows but those that were sent again.
with

rejects as (

    select
        rejects.table_name,
        coalesce(rejects.order_id, rejects.file_id || ':' || rejects.line_number) as order_key,
        rejects.country,
        to_char(rejects.ordered_date, 'YYYY-MM') as month,
        rejects.product_id,
        abs(coalesce(rejects.sent_amount, 0)) as amount,
        split_part(rejects.rejected_reason, ':', 1) as rejected_reason,
        rejects.rejected_reason !~ %(no_fault)s as is_fault,
        orders.order_id is not null as is_counted,
        rejects.rejected_reason ~ %(sent_again)s as is_sent_again,
        coalesce(rejects.order_id, rejects.sent_amount::text, rejects.ordered_date::text) is not null
            as is_of_an_order
    from intermediate.int_rejected_rows as rejects
    left join marts.fct_orders as orders on rejects.order_id = orders.order_id

)

select
    case
        when grouping(month) = 0 then 'month'
        when grouping(country) = 0 then 'country'
        when grouping(product_id) = 0 then 'product'
        else 'all'
    end,
    coalesce(country, month, product_id, ''),
    case when grouping(is_fault) = 0 then %(several)s else coalesce(rejected_reason, '') end,
    case
        when grouping(rejected_reason, is_fault) < 3 then count(distinct order_key)
        when grouping(product_id) = 0 then count(distinct order_key) filter (where not is_sent_again)
        else count(distinct order_key) filter (where not is_sent_again and not is_counted)
    end,
    case
        when grouping(rejected_reason, is_fault) < 3 then coalesce(sum(amount), 0)
        else coalesce(sum(amount) filter (where not is_sent_again), 0)
    end::double precision
from rejects
where is_of_an_order
group by grouping sets (
    (), (country), (month), (product_id),
    (rejected_reason), (rejected_reason, country), (rejected_reason, month), (rejected_reason, product_id),
    (is_fault), (is_fault, country), (is_fault, month), (is_fault, product_id)
)
having
    (grouping(is_fault) = 1 or is_fault)
    and (grouping(country) = 1 or country is not null)
    and (grouping(month) = 1 or month is not null)
    and (grouping(product_id) = 1 or product_id is not null)

union all

select 'table', table_name, case when grouping(is_fault) = 0 then %(several)s else rejected_reason end, count(*), 0
from rejects
group by grouping sets ((table_name, rejected_reason), (table_name, is_fault))
having grouping(is_fault) = 1 or is_fault

-- name: examples
-- Rejected rows of a reason: those of the newest files, lines before orders, most money first.
select
    rejects.order_id,
    rejects.product_id,
    regexp_replace(files.file_name, '^.*/', ''),
    rejects.line_number
from intermediate.int_rejected_rows as rejects
inner join ops.landed_files as files on rejects.file_id = files.file_id
where
    split_part(rejects.rejected_reason, ':', 1) = %(reason)s
    or (%(reason)s = %(several)s and rejects.rejected_reason !~ %(no_fault)s)
order by
    files.batch_id desc,
    rejects.product_id is null,
    abs(coalesce(rejects.sent_amount, 0)) desc,
    rejects.file_id,
    rejects.line_number
limit %(count)s

-- name: batches
-- Batches that came since this gate let a build pass; whether the raw gate, not a person, let them
-- in; and whether rows of them are rejected for one of the reasons.
select
    files.batch_id,
    bool_and(files.status = 'held' or files.status_reason like 'passed the gate%%') as is_by_gate,
    bool_or(rejects.file_id is not null) as has_rejects
from ops.landed_files as files
inner join ops.built_files as built on files.file_id = built.file_id
left join (
    select distinct file_id
    from intermediate.int_rejected_rows
    where
        split_part(rejected_reason, ':', 1) = any(%(reasons)s::text[])
        or (%(several)s = any(%(reasons)s::text[]) and rejected_reason !~ %(no_fault)s)
) as rejects on files.file_id = rejects.file_id
where built.passed_at is null and files.status in ('held', 'accepted')
group by files.batch_id
order by files.batch_id

-- name: comparable
-- Whether the shop's past is known, as these rules make it; of a first load there is none to know.
select case
    when exists (select from ops.reject_levels)
        then not exists (
            select from ops.reject_levels
            where rules is distinct from (select min(rules) from staging.stg_ops__landed_files)
        )
    else not exists (select from ops.publications)
end

-- name: changed
select exists (select from intermediate.int_changed_files)

-- name: levels
select dimension, group_name, reason, count_orders::double precision, amount::double precision
from ops.reject_levels
where anchor = %(anchor)s

-- name: anchored
select max(as_of_date) from ops.reject_levels where anchor = %(anchor)s

-- name: rules
select min(rules) from staging.stg_ops__landed_files

-- name: passed
update ops.built_files set passed_at = now() where passed_at is null

-- name: reduced_online_retail
-- Orders that a later landing left with less: an invoice's lines, each once, of the landing of most
-- money among those that were replaced, less the money of the one that replaced them.
with

replaced as (

    select
        rejects.order_id,
        max(rejects.country) as country,
        to_char(max(rejects.ordered_date), 'YYYY-MM') as month
    from intermediate.int_rejected_rows as rejects
    where rejects.rejected_reason like 'replaced by%' and rejects.order_id is not null
    group by rejects.order_id

),

lines as (

    select
        lines.order_id,
        lines.content_key,
        files.landing_id,
        abs(lines.line_amount) as amount,
        max(files.batch_id) over (partition by lines.order_id, files.landing_id) as batch_id,
        max(files.batch_id) over (partition by lines.order_id) as newest_batch_id
    from staging.stg_online_retail__invoice_lines as lines
    inner join staging.stg_ops__landed_files as files on lines.file_id = files.file_id
    where lines.row_fault is null and lines.order_id in (select order_id from replaced)

),

landings as (

    select order_id, batch_id, batch_id = newest_batch_id as is_newest, sum(amount) as amount
    from (
        select distinct order_id, content_key, batch_id, newest_batch_id, amount from lines
    ) as each_once
    group by order_id, batch_id, newest_batch_id

),

reduced as (

    select
        order_id,
        coalesce(max(amount) filter (where not is_newest), 0) - sum(amount) filter (where is_newest) as amount
    from landings
    group by order_id

)

select order_id, replaced.country, replaced.month, reduced.amount::double precision
from reduced
inner join replaced using (order_id)
where reduced.amount > 0
order by reduced.amount desc, order_id

-- name: reduced_canonical
-- The same of lines with a key each: the row of most money among those that were replaced, less
-- the one that counts.
with

replaced as (

    select
        rejects.order_id,
        max(rejects.country) as country,
        to_char(max(rejects.ordered_date), 'YYYY-MM') as month
    from intermediate.int_rejected_rows as rejects
    where
        rejects.table_name = 'order_items'
        and rejects.rejected_reason like 'replaced by%'
        and rejects.order_id is not null
    group by rejects.order_id

),

rows as (

    select
        order_id,
        order_item_id,
        abs(quantity * unit_price_amount) as amount,
        row_number() over (
            partition by order_id, order_item_id order by file_id desc, line_number desc
        ) = 1 as is_newest
    from staging.stg_canonical__order_items_judged
    where row_fault is null and order_id in (select order_id from replaced)

),

lines as (

    select
        order_id,
        greatest(max(amount) - sum(amount) filter (where is_newest), 0) as amount
    from rows
    group by order_id, order_item_id

)

select order_id, replaced.country, replaced.month, sum(lines.amount)::double precision as amount
from lines
inner join replaced using (order_id)
group by order_id, replaced.country, replaced.month
having sum(lines.amount) > 0
order by amount desc, order_id
