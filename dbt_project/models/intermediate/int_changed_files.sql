-- One row per file that was accepted, or taken out, since the last build that ended well. Scores
-- of dates after first_touched_date were made without it, or with it.
with

changed_files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_changed

),

changed_orders as (

    select
        file_id,
        order_id

    from {{ ref('int_changed_keys') }}
    where order_id is not null

),

touched_orders as (

    select
        order_id,
        first_touched_date

    from {{ ref('int_touched_keys') }}
    where order_id is not null

),

first_dates as (

    select
        changed_orders.file_id,
        min(touched_orders.first_touched_date) as first_touched_date

    from changed_orders

    inner join touched_orders
        on changed_orders.order_id = touched_orders.order_id

    group by changed_orders.file_id

)

select
    changed_files.file_id,
    changed_files.table_name,
    changed_files.is_accepted,
    first_dates.first_touched_date

from changed_files

left join first_dates
    on changed_files.file_id = first_dates.file_id
