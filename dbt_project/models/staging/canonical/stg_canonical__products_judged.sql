-- One row per line of an accepted file of products, good or not: rejected_reason tells.
-- depends_on: {{ ref('stg_canonical__changed_keys') }}
with

files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_accepted {% if is_incremental() %}and is_changed{% endif %}

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
        md5(row(product_id, product_name, product_family, list_price_amount, introduced_date, discontinued_date)::text)::uuid as content_key,
        trim(coalesce(product_id, '')) as product_id,
        nullif(trim(product_name), '') as product_name,
        nullif(trim(product_family), '') as product_family,
        {{ as_number('list_price_amount') }} as list_price_amount,
        {{ as_date('introduced_date') }} as introduced_date,
        {{ as_date('discontinued_date') }} as discontinued_date,
        case
            when trim(coalesce(product_id, '')) = '' then 'no product_id'
            when trim(list_price_amount) <> '' and {{ as_number('list_price_amount') }} is null then 'list_price_amount is no number'
            when {{ as_number('list_price_amount') }} < 0 then 'list_price_amount is negative'
            when trim(introduced_date) <> '' and {{ as_date('introduced_date') }} is null then 'introduced_date is no date'
            when trim(discontinued_date) <> '' and {{ as_date('discontinued_date') }} is null then 'discontinued_date is no date'
        end as row_fault

    from raw_rows

),

candidates as (

    select * from typed_rows

    {% if is_incremental() %}
    union all

    -- rows of the same keys in files that did not change
    select
        stored.file_id,
        stored.line_number,
        stored.content_key,
        stored.product_id,
        stored.product_name,
        stored.product_family,
        stored.list_price_amount,
        stored.introduced_date,
        stored.discontinued_date,
        stored.row_fault

    from {{ this }} as stored

    where
        stored.product_id in (select product_id from {{ ref('stg_canonical__changed_keys') }})
        and stored.file_id not in (select file_id from {{ ref('stg_ops__landed_files') }} where is_changed)
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
