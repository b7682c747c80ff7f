-- One row per line of an accepted file of products, good or not: rejected_reason tells.
-- depends_on: {{ ref('stg_canonical__changed_keys') }}
with

files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_accepted {% if is_partial() %}and is_changed{% endif %}

),

raw_rows as (

    select * from {{ source('raw', 'canonical_products') }}
    where _file_id in (select file_id from files)

),

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        -- the row as it was sent: equal rows have equal keys
        md5(
            row(
                product_id, product_name, product_family, list_price_amount,
                introduced_date, discontinued_date
            )::text
        )::uuid as content_key,
        {{ as_id('product_id') }} as product_id,
        {{ as_text('product_name') }} as product_name,
        {{ as_text('product_family') }} as product_family,
        {{ as_number('list_price_amount') }} as list_price_amount,
        {{ as_date('introduced_date') }} as introduced_date,
        {{ as_date('discontinued_date') }} as discontinued_date,
        {{ as_text('list_price_amount') }} as sent_list_price_amount,
        {{ as_text('introduced_date') }} as sent_introduced_date,
        {{ as_text('discontinued_date') }} as sent_discontinued_date

    from raw_rows

),

judged_rows as (

    select
        file_id,
        line_number,
        content_key,
        product_id,
        product_name,
        product_family,
        list_price_amount,
        introduced_date,
        discontinued_date,
        case
            when product_id = '' then 'no product_id'
            when {{ is_too_long('product_id') }} then 'product_id is longer than 200 characters'
            when sent_list_price_amount is not null and list_price_amount is null
                then 'list_price_amount is no number'
            when list_price_amount < 0 then 'list_price_amount is negative'
            when sent_introduced_date is not null and introduced_date is null
                then 'introduced_date is no date'
            when sent_discontinued_date is not null and discontinued_date is null
                then 'discontinued_date is no date'
        end as row_fault

    from typed_rows

),

candidates as (

    select * from judged_rows

    {% if is_partial() %}
    union all

    -- rows of the same keys in files that did not change
    select
        unchanged.file_id,
        unchanged.line_number,
        unchanged.content_key,
        unchanged.product_id,
        unchanged.product_name,
        unchanged.product_family,
        unchanged.list_price_amount,
        unchanged.introduced_date,
        unchanged.discontinued_date,
        unchanged.row_fault

    from {{ this }} as unchanged

    where
        unchanged.product_id in (select product_id from {{ ref('stg_canonical__changed_keys') }})
        and unchanged.file_id not in (
            select file_id from {{ ref('stg_ops__landed_files') }} where is_changed
        )
    {% endif %}

),

ranked_rows as (

    -- of several rows that can be read, the one that was landed last counts
    select
        *,
        case
            when row_fault is null
                then lead(content_key) over (
                    partition by product_id, row_fault is null order by file_id, line_number
                )
        end as next_content_key

    from candidates

)

select
    file_id,
    line_number,
    content_key,
    product_id,
    product_name,
    product_family,
    list_price_amount,
    introduced_date,
    discontinued_date,
    row_fault,
    case
        when row_fault is not null then row_fault
        when content_key = next_content_key then 'exact duplicate'
        when next_content_key is not null then 'replaced by a later row of the same key'
    end as rejected_reason

from ranked_rows
